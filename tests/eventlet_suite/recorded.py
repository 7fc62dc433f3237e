"""Runs a test file of eventlet's by pytest, and writes down each test. A program.

    python recorded.py OUTCOMES [OPTION-OF-PYTEST…] tests/NAME.py

OUTCOMES gets lines as tests/stdlib/recorded.py writes them; a test is called NAME::Class::method.
This file knows nothing of fibril: whose eventlet is imported is a matter of the environment.
"""

import os
import sys
from typing import Any

import pytest

USUAL = ["-p", "no:cacheprovider", "-p", "no:fibril", "-p", "no:timeout"]


class Recorder:
    """A plugin that writes a line at once, so that who hangs is named by the last one."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "w", encoding="utf-8")  # noqa: SIM115  # for as long as we live
        self.process = os.getpid()

    def write(self, outcome: str, nodeid: str) -> None:
        """A test that forks and goes on in the child writes nothing more there."""
        if os.getpid() == self.process:
            name = nodeid.removeprefix("tests/").replace(".py", "", 1).replace(" ", "_")
            print(outcome, name, file=self.file, flush=True)

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self.write("begin", nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.skipped:
            self.write("skip", report.nodeid)
        elif report.failed:
            self.write("fail" if report.when == "call" else "error", report.nodeid)
        elif report.when == "call":
            self.write("ok", report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self.write("end", nodeid)


def main() -> None:
    path, *arguments = sys.argv[1:]
    os.chdir(os.environ["EVENTLET_TESTS_FOLDER"])
    sys.path[0] = os.getcwd()  # not the folder of this file
    sys.exit(pytest.main([*USUAL, "-q", *arguments], [Recorder(path)]))


if __name__ == "__main__":
    main()
