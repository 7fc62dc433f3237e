"""check.py: every check of the tree, one after the other; the summary is the last line.

The idea: a failing step does not hide the ones after it, so one run shows all there is to mend.
The order is from quick to slow. Runs inside the `check` environment of tools/env.py.

    python tools/check.py [STEP…]     all steps, or the named ones
    python tools/check.py --fix       format and mend what the tools can mend by themselves
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

TOP = Path(__file__).resolve().parent.parent
PYTHON = (sys.executable, "-m")
FOLDERS = [name for name in ("src", "tools", "tests", "bench", "examples") if (TOP / name).exists()]


def c_files() -> list[str]:
    """Every C file that clang-format keeps in shape."""
    folders = ("csrc", "src", "tests/core", "tests/compat", "tests/torture", "bench")
    found = [path for name in folders for path in (TOP / name).rglob("*.[ch]")]
    return sorted(str(path.relative_to(TOP)) for path in found)


def steps() -> dict[str, tuple[tuple[str, ...], int]]:
    """Name → command, and how many seconds it may take before it counts as hung."""
    return {
        "lint": ((*PYTHON, "ruff", "check", "-q", "--output-format=concise", *FOLDERS), 60),
        "format": (
            (*PYTHON, "ruff", "format", "-q", "--check", "--output-format=concise", *FOLDERS),
            60,
        ),
        "c-format": (("clang-format", "--dry-run", "-Werror", "--ferror-limit=1", *c_files()), 60),
        "types": ((*PYTHON, "mypy"), 300),
        "user-types": ((sys.executable, "tools/type_tests.py"), 180),
        "core": ((sys.executable, "tools/core_tests.py"), 600),
        "tests": ((*PYTHON, "pytest", "-q"), 900),
    }


def fix() -> NoReturn:
    commands = [
        (*PYTHON, "ruff", "check", "-q", "--fix-only", *FOLDERS),
        (*PYTHON, "ruff", "format", "-q", *FOLDERS),
        ("clang-format", "-i", *c_files()),
    ]
    sys.exit(max(subprocess.run(command, cwd=TOP, check=False).returncode for command in commands))


def run(name: str, command: tuple[str, ...], limit_s: int) -> bool:
    print(f"--- {name}", flush=True)
    try:
        return subprocess.run(command, cwd=TOP, timeout=limit_s, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{name}: still running after {limit_s} s, ended")
        return False


def main() -> None:
    if sys.argv[1:] == ["--fix"]:
        fix()
    table = steps()
    chosen = sys.argv[1:] or list(table)
    unknown = [name for name in chosen if name not in table]
    if unknown:
        sys.exit(f"no such step: {', '.join(unknown)}. There are: {', '.join(table)}.")
    began = time.monotonic()
    failed = [name for name in chosen if not run(name, *table[name])]
    took = f"{time.monotonic() - began:.0f} s"
    if failed:
        sys.exit(f"check: {', '.join(failed)} failed, of {', '.join(chosen)} ({took})")
    print(f"check: all well: {', '.join(chosen)} ({took})")


if __name__ == "__main__":
    main()
