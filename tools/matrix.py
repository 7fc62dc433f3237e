"""matrix.py: runs the tests on every CPython that fibril supports and this machine has.

The minor versions are those of the classifiers in pyproject.toml; of each, every patch release
that is found is tested, because CPython's inside moves between them. Interpreters are looked for on
PATH, among pyenv's, and in the Debian of tools/pythons, if it is installed. One that is there but
cannot be used (pyenv's shims only print an error) is passed over.

    python3 tools/matrix.py [--all] [PYTEST-ARGUMENT…]     --all: a minor version without an
                                                           interpreter is a failure, not a skip

Each gets its own environment, of the kind that users have (`release` in tools/env.py). Two run side
by side, so what they print is kept (build/matrix-*.log) and shown only when they fail.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent
BUILD = TOP / "build"
PYTHONS = str(TOP / "tools" / "pythons")
LIMIT_S = 1200
SIDE_BY_SIDE = 2
PROBE = (
    "import importlib.util, os, platform, sys, sysconfig\n"
    "needs = {'C headers': os.path.exists(sysconfig.get_paths()['include'] + '/Python.h'),\n"
    "         'venv': importlib.util.find_spec('ensurepip')}\n"
    "print(platform.python_version(), sys.implementation.name,\n"
    "      ' and '.join(need for need in needs if not needs[need]))"
)


class Interpreter(NamedTuple):
    """How to run one CPython, and which it is."""

    command: tuple[str, ...]
    release: str  # "3.13.15"


def supported_versions() -> list[str]:
    text = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)


def candidates(version: str) -> Iterator[tuple[str, ...]]:
    """Every command that may be an interpreter of this version."""
    places = [Path(name) for name in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places += [folder / "bin" for folder in sorted((pyenv / "versions").glob(f"{version}.*"))]
    for place in places:
        if (place / f"python{version}").exists():
            yield (str(place / f"python{version}"),)
    listed = subprocess.run([PYTHONS, "list"], capture_output=True, text=True, check=True).stdout
    if version in listed.split():
        yield (PYTHONS, "run", version, "--", "python3")


def probe(command: tuple[str, ...], version: str) -> tuple[str, str]:
    """The release of this interpreter; or none, and why it cannot be used."""
    name = " ".join(command)
    try:
        done = subprocess.run(
            [*command, "-c", PROBE], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        return "", f"{name} does not run ({err})"
    if done.returncode:
        return "", f"{name} does not run (exit code {done.returncode})"
    release, implementation, *missing = done.stdout.split()
    if implementation != "cpython" or not release.startswith(f"{version}."):
        return "", f"{name} is not CPython {version}"
    return ("", f"{name} has no {' '.join(missing)}") if missing else (release, "")


def find(version: str) -> tuple[list[Interpreter], str]:
    """One interpreter of each release that can be used, or why there is none."""
    found: dict[str, Interpreter] = {}
    reasons = []
    for command in candidates(version):
        release, reason = probe(command, version)
        if reason:
            reasons.append(reason)
        else:
            found.setdefault(release, Interpreter(command, release))
    return list(found.values()), "; ".join(reasons) or f"no python{version} is here"


def age(interpreter: Interpreter) -> list[int]:
    """By which releases are ordered."""
    return [int(number) for number in re.findall(r"\d+", interpreter.release)]


def run_tests(interpreter: Interpreter, arguments: list[str]) -> bool:
    """Builds and tests; prints a line, and after a failure all that was printed."""
    inside = ["python", "-m", "pytest", "-q", "--ignore=tests/tidy", *arguments]
    command = [*interpreter.command, "tools/env.py", "release", "--", *inside]
    log = BUILD / f"matrix-{interpreter.release}.log"
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        try:
            code: int | str = subprocess.run(
                command, cwd=TOP, timeout=LIMIT_S, check=False, stdout=file, stderr=file
            ).returncode
        except subprocess.TimeoutExpired:
            code = f"still running after {LIMIT_S} s, ended"
    lines = log.read_text(errors="replace", encoding="utf-8").rstrip().split("\n")
    end = f"{lines[-1]} [{time.monotonic() - began:.0f} s]"
    shown = [end] if code == 0 else [*lines, f"exit code {code}"]
    print("\n".join([f"--- CPython {interpreter.release}", *shown]), flush=True)
    return code == 0


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    outcomes: dict[str, str] = {}
    chosen: dict[Interpreter, list[str]] = {}  # to what pytest is told
    for version in supported_versions():
        found, reason = find(version)
        chosen |= dict.fromkeys(found, arguments)
        if found:  # the newest of a version also runs what takes minutes: greenlet's own tests
            chosen[max(found, key=age)] = ["-m", "", *arguments]
        if not found:
            outcomes[version] = "MISSING" if "--all" in sys.argv else "skipped"
            print(f"--- CPython {version}: none can be used: {reason}", flush=True)
    BUILD.mkdir(exist_ok=True)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        passed = pool.map(run_tests, chosen, chosen.values())
        for interpreter, is_passed in zip(chosen, passed, strict=True):
            outcomes[interpreter.release] = "passed" if is_passed else "FAILED"
    print("matrix: " + ", ".join(f"{release} {outcome}" for release, outcome in outcomes.items()))
    if {"FAILED", "MISSING"} & set(outcomes.values()) or "passed" not in outcomes.values():
        sys.exit(1)


if __name__ == "__main__":
    main()
