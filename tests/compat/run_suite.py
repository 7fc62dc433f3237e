"""Runs test modules with unittest and writes down what became of each test. A program, not a test.

    python run_suite.py OUTCOMES MODULE…

A test that insists that something leaks, and finds that it does not, has passed: greenlet marks
some that it cannot mend, and here the collector sees the frames of parked fibers.

OUTCOMES gets a line for each test when it begins and when it ends, at once, so that one which takes
the interpreter down is named by the last line. The process ends without waiting for threads that
a failed test has left behind.
"""

import faulthandler
import os
import sys
import unittest
from typing import Any, TextIO


class Outcomes(unittest.TextTestResult):
    """Writes `begin ID`, then `ok`, `skip`, `fail` or `error`, with the ID again."""

    file: TextIO

    def _write(self, outcome: str, test: unittest.TestCase) -> None:
        print(outcome, test.id(), file=self.file, flush=True)

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802  # unittest's names
        self._write("begin", test)
        super().startTest(test)

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self._write("ok", test)
        super().addSuccess(test)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self._write("skip", test)
        super().addSkip(test, reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        is_better = type(err[1]).__name__ == "LeakCheckError" and " to leak but " in str(err[1])
        self._write("ok" if is_better else "fail", test)
        super().addFailure(test, err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self._write("error", test)
        super().addError(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            self._write("fail", test)
        super().addSubTest(test, subtest, err)


def main() -> None:
    faulthandler.enable()
    path, *names = sys.argv[1:]
    with open(path, "w", encoding="utf-8") as Outcomes.file:
        suite = unittest.defaultTestLoader.loadTestsFromNames(names)
        unittest.TextTestRunner(resultclass=Outcomes).run(suite)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
