"""Runs one of CPython's own test files by its own runner, and writes down each test. A program.

    python recorded.py OUTCOMES [OPTION-OF-REGRTEST…] test_NAME

OUTCOMES gets a line for each test when it begins and when it ends, at once, so that one which hangs
or takes the interpreter down is named by the last line: `begin`, `ok`, `skip`, `fail` or `error`,
and `end`, with the test's ID. This file knows nothing of fibril: patched.py runs it under the
patch, and by itself it tells what fails here without.
"""

import os
import sys
import unittest
from typing import Any

# Tests that wait for long are asked for; neither those that compute for long, nor the internet.
RESOURCES = "walltime"

file: Any = None
process = os.getpid()


def write(outcome: str, test: Any) -> None:
    """A test that forks and goes on in the child writes nothing more there."""
    if os.getpid() == process:
        print(outcome, name_of(test), file=file, flush=True)


def name_of(test: Any) -> str:
    """Whoever runs other tests than CPython's may have others."""
    return str(test.id())


def record_all(path: str) -> None:
    """From now on, for as long as the process lives."""
    global file
    file = open(path, "w", encoding="utf-8")  # noqa: SIM115
    for method_name, outcome in OUTCOMES.items():
        record(method_name, outcome)


def record(method_name: str, outcome: str) -> None:
    """Make a method of all results write that outcome before it does what it does."""
    original = getattr(unittest.TestResult, method_name)

    def recorded(self: Any, test: Any, *arguments: Any) -> Any:
        if method_name == "addSubTest":
            if arguments[-1] is not None:
                write(outcome, test)
        else:
            write(outcome, test)
        return original(self, test, *arguments)

    setattr(unittest.TestResult, method_name, recorded)


OUTCOMES = {
    "startTest": "begin",
    "addSuccess": "ok",
    "addExpectedFailure": "ok",
    "addSkip": "skip",
    "addFailure": "fail",
    "addSubTest": "fail",
    "addUnexpectedSuccess": "fail",
    "addError": "error",
    "stopTest": "end",
}


def main() -> None:
    path, *arguments = sys.argv[1:]
    record_all(path)
    from test.libregrtest.main import main as run

    sys.argv[1:] = ["-v", "-u", RESOURCES, *arguments]
    run()


if __name__ == "__main__":
    main()
