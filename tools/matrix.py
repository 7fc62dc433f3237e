"""matrix.py: runs the tests on every CPython, C library and compiler that fibril supports.

The minor versions are those of the classifiers in pyproject.toml; of each, every patch release
that is found is tested, because CPython's inside moves between them. Interpreters are looked for on
PATH, among pyenv's, and in the Debians of tools/pythons, if they are installed. One that is there
but cannot be used (pyenv's shims only print an error) is passed over.

In the Debians the C programs of tests/core run as well, with each compiler that is there: the
oldest gcc, the newest, the newest clang, and musl's. The unit tests also run on what clang builds,
and with an old glibc.

CPython's own tests under the patch (tests/stdlib), and gevent's own (tests/gevent_suite), run on
the newest release of each version that is listed in SUITES.

    python3 tools/matrix.py [--all] [--part=2/5] [PYTEST-ARGUMENT…]

--all: what is missing is a failure, and not a skip. --part: not all of CPython's and gevent's.

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
SUITES = {
    "tests.stdlib.check_stdlib": ("3.11", "3.13", "3.14", "3.15"),
    "tests.gevent_suite.check_gevent": ("3.11", "3.13", "3.15"),
}
SUITE_LIMIT_S = 4800
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


class Run(NamedTuple):
    """A command and its name, which is also its log's."""

    name: str
    command: tuple[str, ...]
    limit_s: float = LIMIT_S


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
    if version in listed():
        yield inside(version, "python3")


def listed() -> list[str]:
    """What tools/pythons has."""
    command = [PYTHONS, "list"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def inside(name: str, *command: str) -> tuple[str, ...]:
    return (PYTHONS, "run", name, "--", *command)


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


def tests(python: tuple[str, ...], *arguments: str) -> tuple[str, ...]:
    """The command that builds and tests."""
    pytest = ("python", "-m", "pytest", "-q", "--ignore=tests/tidy", *arguments)
    return (*python, "tools/env.py", "release", "--", *pytest)


def suites(version: str, newest: Interpreter, part: str) -> Iterator[Run]:
    """What runs others' own tests, one file at a time: another run is beside."""
    for module, versions in SUITES.items():
        if version in versions:
            check = ("python", "-m", module, *([part] if part else []))
            command = (*newest.command, "tools/env.py", "release", "--", "env", "JOBS=1", *check)
            yield Run(f"{module.rpartition('.')[2]} on {newest.release}", command, SUITE_LIMIT_S)


def core(name: str, compiler: str) -> tuple[str, ...]:
    """The command that runs tests/core in a Debian."""
    output = f"build/core/{name}-{compiler}"
    return inside(
        name, "env", f"CC={compiler}", "python3", "tools/core_tests.py", "--output", output
    )


def debian_runs() -> list[Run]:
    """What else the Debians are for, by the names of `tools/pythons list`."""
    old, new = "3.11-bullseye", "3.15"
    part = ("tests/unit", "tests/install")
    return [
        Run(f"core on {old} by gcc", core(old, "gcc")),
        *(Run(f"core on {new} by {cc}", core(new, cc)) for cc in ("gcc", "clang", "musl-gcc")),
        Run(f"units on {new} by clang", tests(inside(new, "env", "CC=clang", "python3"), *part)),
        Run(f"units on {old} by gcc", tests(inside(old, "python3"), *part)),
    ]


def is_here(run: Run) -> bool:
    return run.command[0] != PYTHONS or run.command[2] in listed()


def carry_out(run: Run) -> bool:
    """Runs it; prints a line, and after a failure all that was printed."""
    log = BUILD / f"matrix-{run.name.replace(' ', '-')}.log"
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        try:
            code: int | str = subprocess.run(
                run.command, cwd=TOP, timeout=run.limit_s, check=False, stdout=file, stderr=file
            ).returncode
        except subprocess.TimeoutExpired:
            code = f"still running after {run.limit_s} s, ended"
    lines = log.read_text(errors="replace", encoding="utf-8").rstrip().split("\n")
    end = f"{lines[-1]} [{time.monotonic() - began:.0f} s]"
    shown = [end] if code == 0 else [*lines, f"exit code {code}"]
    print("\n".join([f"--- {run.name}", *shown]), flush=True)
    return code == 0


def read_arguments(given: list[str]) -> tuple[list[str], bool, str]:
    """Those for pytest; whether nothing may be missing; which part of the suites."""
    parts = [argument.partition("=")[2] for argument in given if argument.startswith("--part=")]
    others = [argument for argument in given if not argument.startswith(("--all", "--part="))]
    return others, "--all" in given, "".join(parts)


def main() -> None:
    arguments, is_all, part = read_arguments(sys.argv[1:])
    outcomes: dict[str, str] = {}
    absent = "MISSING" if is_all else "skipped"
    runs: list[Run] = []
    last: list[Run] = []
    for version in supported_versions():
        found, reason = find(version)
        newest = max(found, key=age, default=None)
        for one in found:  # the newest of a version also runs what takes minutes: greenlet's own
            more = ("-m", "not torture and not natives and not clients") if one is newest else ()
            runs.append(Run(f"CPython {one.release}", tests(one.command, *more, *arguments)))
        if newest and not arguments:
            last += suites(version, newest, part)
        if not found:
            outcomes[version] = absent
            print(f"--- CPython {version}: none can be used: {reason}", flush=True)
    for run in [] if arguments else debian_runs():
        if is_here(run):
            runs.append(run)
        else:
            outcomes[run.name] = absent
            print(f"--- {run.name}: not here. Try, as root: tools/pythons install", flush=True)
    runs += last
    BUILD.mkdir(exist_ok=True)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for run, is_passed in zip(runs, pool.map(carry_out, runs), strict=True):
            outcomes[run.name] = "passed" if is_passed else "FAILED"
    print("matrix: " + ", ".join(f"{name} {outcome}" for name, outcome in outcomes.items()))
    if {"FAILED", "MISSING"} & set(outcomes.values()) or "passed" not in outcomes.values():
        sys.exit(1)


if __name__ == "__main__":
    main()
