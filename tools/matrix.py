"""matrix.py: runs the tests on every CPython that weft supports and this machine has.

The versions are those of the classifiers in pyproject.toml. An interpreter is looked for on PATH,
then among pyenv's, and must work: pyenv's shims exist for versions that are not selected, and
then only print an error. One that is not found is skipped, with the reason printed.

    python3 tools/matrix.py [PYTEST-ARGUMENT…]

Each version gets its own environment, of the kind that users have (`release` in tools/env.py).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
PROBE = (
    "import os, sys, sysconfig\n"
    "print('%d.%d' % sys.version_info[:2], sys.implementation.name,\n"
    "      os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h')))"
)


def supported_versions() -> list[str]:
    text = (TOP / "pyproject.toml").read_text()
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)


def candidates(version: str) -> Iterator[Path]:
    """Every place where an interpreter of this version may be."""
    for name in os.environ.get("PATH", os.defpath).split(os.pathsep):
        yield Path(name) / f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in sorted((pyenv / "versions").glob(f"{version}.*"), reverse=True):
        yield folder / "bin" / f"python{version}"


def probe(python: Path, version: str) -> str:
    """Why this interpreter cannot be used; empty if it can."""
    try:
        done = subprocess.run(
            [str(python), "-c", PROBE], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        return f"{python} does not run ({err})"
    if done.returncode:
        return f"{python} does not run (exit code {done.returncode})"
    if done.stdout.split()[:2] != [version, "cpython"]:
        return f"{python} is not CPython {version}"
    if done.stdout.split()[2] != "True":
        return f"{python} has no C headers"
    return ""


def find(version: str) -> tuple[Path | None, str]:
    """The first interpreter that can be used, or why there is none."""
    reasons = []
    for python in candidates(version):
        if python.exists():
            reason = probe(python, version)
            if not reason:
                return python, ""
            reasons.append(reason)
    return None, "; ".join(reasons) or f"no python{version} on PATH or in pyenv"


def run_tests(python: Path, arguments: list[str]) -> bool:
    inside = ["python", "-m", "pytest", "-q", "--ignore=tests/tidy", *arguments]
    command = [str(python), str(TOP / "tools" / "env.py"), "release", "--", *inside]
    return subprocess.run(command, cwd=TOP, timeout=1200, check=False).returncode == 0


def main() -> None:
    outcomes = {}
    for version in supported_versions():
        python, reason = find(version)
        print(f"--- CPython {version}: {python or 'skipped: ' + reason}", flush=True)
        if python is None:
            outcomes[version] = "skipped"
        else:
            outcomes[version] = "passed" if run_tests(python, sys.argv[1:]) else "FAILED"
    print("matrix: " + ", ".join(f"{version} {outcome}" for version, outcome in outcomes.items()))
    if "FAILED" in outcomes.values() or "passed" not in outcomes.values():
        sys.exit(1)


if __name__ == "__main__":
    main()
