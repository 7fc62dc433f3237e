"""Where and on what a benchmark ran: nothing that names the machine's owner, place or user."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def machine() -> dict[str, str]:
    """The facts a reader needs to judge the figures."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def load() -> float:
    """How many processes wanted a core in the last minute: the neighbours, before a run."""
    return os.getloadavg()[0]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def commit() -> str:
    """The commit that was measured, and whether files that count differed from it. In the Debian
    of tools/pythons there is no git to ask.
    """
    head = _git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    changed = _git("status", "--porcelain", "--", ".", ":!bench/RESULTS.md")
    return f"{head} with changes" if changed else head


def _git(*args: str) -> str:
    """What git says; nothing if there is no git, no repository or no commit."""
    try:
        answer = subprocess.run(
            ["git", *args], cwd=ROOT, check=False, capture_output=True, text=True
        )
    except FileNotFoundError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
