"""Run one of gevent's own test modules as a program, without the cases that are named.

    python gevent_module.py ENGINE MODULE [CASE…]

ENGINE is what must be under gevent: fibril or greenlet; that it is, and that gevent's compiled
parts run on it, is checked first. Ends as `python -m gevent.tests.MODULE` would.

How late a loaded machine is proves nothing: gevent's tests have a mode for machines whose clocks
cannot be trusted, with the same cases and wider limits. It is one with theirs for coverage, which
also makes some cases smaller; they stay as large as they are.
"""

import os
import runpy
import sys
import unittest
from typing import Any

os.environ["GEVENTTEST_COVERAGE"] = "1"  # before gevent.testing looks

import gevent.greenlet
import gevent.testing
import greenlet


def without(excluded: frozenset[str]) -> type[unittest.TestLoader]:
    """A loader of tests that does not know the excluded ones."""

    class Loader(unittest.TestLoader):
        def getTestCaseNames(self, testCaseClass: Any) -> list[str]:  # noqa: N802, N803
            names = super().getTestCaseNames(testCaseClass)
            return [name for name in names if name not in excluded]

    return Loader


def main(engine: str, module: str, excluded: list[str]) -> None:
    found = "fibril" if hasattr(greenlet, "__fibril_version__") else "greenlet"
    assert found == engine, f"gevent runs on {found}, from {greenlet.__file__}"
    native = gevent.greenlet.Greenlet.__init__
    assert type(native).__name__ == "wrapper_descriptor", "gevent's compiled modules are not used"
    gevent.testing.RUN_COVERAGE = gevent.testing.EXPECT_POOR_TIMER_RESOLUTION = False
    unittest.defaultTestLoader.__class__ = without(frozenset(excluded))
    sys.argv[1:] = []
    runpy.run_module(f"gevent.tests.{module}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
