"""Runs one of gevent's own test modules, and writes down each test. A program.

    python one_module.py OUTCOMES MODULE [--match TEST…] [--ignore TEST…]

The module runs as `python -m gevent.tests.MODULE` would run it. OUTCOMES gets what recorded.py
writes, with each test called MODULE.Class.method. This file knows nothing of fibril: whose gevent
is imported is a matter of PYTHONPATH.

Invariant: no module of gevent's is imported here, because many tests want to be there first.
"""

import runpy
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[1] / "stdlib")
import recorded  # noqa: E402

del sys.path[0]


def named(module: str) -> Callable[[Any], str]:
    """How a test of that module is called, wherever its class was defined."""

    def name_of(test: Any) -> str:
        name = str(test.id()).replace("__main__.", f"{module}.")
        name = name.replace(f"gevent.tests.{module}.", f"{module}.")
        return name if f"{module}." in name else f"{module}.{name}"

    return name_of


def only(
    module: str, matched: frozenset[str], ignored: frozenset[str]
) -> type[unittest.TestLoader]:
    """A loader that knows the matched tests, or all, without the ignored ones."""

    class Loader(unittest.TestLoader):
        def getTestCaseNames(self, testCaseClass: Any) -> list[str]:  # noqa: N802, N803
            class_name = f"{testCaseClass.__module__}.{testCaseClass.__qualname__}"
            prefix = f"{module}.{class_name.removeprefix('__main__.')}"
            names = {name: f"{prefix}.{name}" for name in super().getTestCaseNames(testCaseClass)}
            return [
                name
                for name, test in names.items()
                if test not in ignored and (not matched or test in matched)
            ]

    return Loader


def main() -> None:
    path, module, *options = sys.argv[1:]
    asked = list(zip(options[::2], options[1::2], strict=True))
    matched = frozenset(test for option, test in asked if option == "--match")
    ignored = frozenset(test for option, test in asked if option == "--ignore")
    recorded.name_of = named(module)
    recorded.record_all(path)
    unittest.defaultTestLoader.__class__ = only(module, matched, ignored)
    sys.argv[1:] = []
    runpy.run_module(f"gevent.tests.{module}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
