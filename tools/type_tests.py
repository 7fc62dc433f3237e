"""type_tests.py: what type checkers see of fibril, where it is installed as a user has it.

mypy and basedpyright, which judges as pyright does, check the two files of tests/typing in strict
mode. Each must find an error in every line that says `# error:`, and in no other. What is right for
them must be right at run time, too: right.py is run, and mypy's stubtest compares _core.pyi with
the native module.

    python tools/type_tests.py

Exits with 1, and a line for each difference, unless all agree. Takes 5 seconds, the first time 15.
It runs in the `check` environment of tools/env.py, which has both checkers, and needs no network.
Do not add: checks of fibril's own sources. Those are mypy's, as pyproject.toml says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parent.parent
FOLDER = TOP / "tests" / "typing"
FILES = (FOLDER / "right.py", FOLDER / "wrong.py")
MARK = "  # error: "
LIMIT_S = 120


class Place(NamedTuple):
    """A line of a file, from 1."""

    file: str
    line: int


Found = dict[Place, str]  # what a checker says of each line


class Checker(NamedTuple):
    """A program, and how what it prints is read."""

    name: str
    command: tuple[str, ...]
    read: Callable[[str], Found]


def marked() -> set[Place]:
    """The lines in which an error must be found."""
    return {
        Place(path.name, number)
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MARK in line
    }


def read_mypy(output: str) -> Found:
    """One JSON object in each line."""
    said = [json.loads(line) for line in output.splitlines()]
    return {
        Place(Path(each["file"]).name, each["line"]): each["message"]
        for each in said
        if each["severity"] == "error"
    }


def read_pyright(output: str) -> Found:
    """One JSON object; its lines are counted from 0."""
    return {
        Place(Path(each["file"]).name, each["range"]["start"]["line"] + 1): each["message"]
        for each in json.loads(output)["generalDiagnostics"]
        if each["severity"] == "error"
    }


PYTHON = (sys.executable, "-m")
CHECKERS = (
    Checker(
        "mypy",
        # No configuration: pyproject.toml has the one for our sources.
        (*PYTHON, "mypy", "--strict", "--config-file=", "--output=json", *map(str, FILES)),
        read_mypy,
    ),
    Checker(
        "basedpyright",
        (*PYTHON, "basedpyright", f"--project={FOLDER}", f"--pythonpath={sys.executable}",
         "--outputjson"),
        read_pyright,
    ),
)  # fmt: skip


# What judges by its exit code.
RUNS = (
    (sys.executable, str(FILES[0])),
    (*PYTHON, "mypy.stubtest", "fibril._core", "--concise", "--ignore-disjoint-bases",
     f"--allowlist={FOLDER / 'stub_known.txt'}"),
)  # fmt: skip


def start(command: tuple[str, ...]) -> subprocess.Popen[str]:
    # MYPYPATH would show mypy another fibril than the installed one.
    environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    return subprocess.Popen(
        command,
        cwd=TOP / "build",  # for what they leave behind
        env=environment,
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def differences(checker: Checker, process: subprocess.Popen[str]) -> Iterator[str]:
    """A line for each difference between what a checker says and what it should."""
    output, errors = process.communicate(timeout=LIMIT_S)
    if process.returncode not in (0, 1):  # it did not come to a judgement
        yield f"{checker.name} ended with {process.returncode}: {output}{errors}"
        return
    wanted, found = marked(), checker.read(output)
    for file, line in sorted(wanted - found.keys()):
        yield f"tests/typing/{file}:{line}: {checker.name} finds no error here, and should"
    for file, line in sorted(found.keys() - wanted):
        yield f"tests/typing/{file}:{line}: {checker.name} says: {found[Place(file, line)]}"


def failures(process: subprocess.Popen[str]) -> Iterator[str]:
    """What a run says that did not end with 0."""
    output, errors = process.communicate(timeout=LIMIT_S)
    if process.returncode != 0:
        yield f"{output}{errors}".strip()


def main() -> None:
    started = [(checker, start(checker.command)) for checker in CHECKERS]
    problems = [line for command in RUNS for line in failures(start(command))]
    for checker, process in started:
        problems += differences(checker, process)
    if problems:
        sys.exit("\n".join(problems))
    names = " and ".join(checker.name for checker in CHECKERS)
    print(f"{names} see {len(marked())} mistakes, and no others")


if __name__ == "__main__":
    main()
