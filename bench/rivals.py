"""Who takes part, and in which version: the rivals are installed here, fibril is not.

Rivals go into the interpreter that runs the benchmark (fibril's own development environment), from
requirements.txt, only when a pinned version is not there yet.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def pinned() -> dict[str, str]:
    """The rivals' names and versions, as requirements.txt has them."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pins = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.strip(): wanted.strip() for name, _, wanted in pins}


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def install() -> None:
    """Install what is missing; pip's error ends the run."""
    if all(installed(name) == wanted for name, wanted in pinned().items()):
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)


def is_fibril_here() -> bool:
    return importlib.util.find_spec("fibril") is not None


def stack_bytes() -> int:
    """Of each of fibril's stacks, as this run's settings have it; 0 without fibril."""
    if not is_fibril_here():
        return 0
    import fibril

    return fibril.stack_size()


def versions() -> dict[str, str]:
    """Versions for the record; a checkout on the path has no metadata, hence no version."""
    names = ["fibril", *pinned()]
    return {name: installed(name) or "not installed" for name in names}
