"""What gevent's tests import of its private modules _compat and _util: facts of Python and of the
system, and attributes that are made when somebody asks.

In place of both of these, where fibril's package does not have them (place.py).
"""

import io
import os
import sys
from collections.abc import Callable
from time import get_clock_info, perf_counter
from typing import Any

__all__ = [
    "Lazy",
    "LazyOnClass",
    "LINUX",
    "OSX",
    "PURE_PYTHON",
    "PYPY",
    "WIN",
    "NativeStrIO",
    "_fspath",
    "get_clock_info",
    "get_this_psutil_process",
    "perf_counter",
    "reraise",
    "thread_mod_name",
]

PYPY = sys.implementation.name == "pypy"
WIN = sys.platform == "win32"
LINUX = sys.platform == "linux"
OSX = sys.platform == "darwin"
PURE_PYTHON = False
NativeStrIO = io.StringIO
thread_mod_name = "_thread"
_fspath = os.fspath


def reraise(kind: type[BaseException], value: BaseException, traceback: Any = None) -> None:
    raise value.with_traceback(traceback)


def get_this_psutil_process() -> Any:
    try:
        import psutil
    except ImportError:
        return None
    return psutil.Process()


class Lazy:
    """A method that is called once for each object, and replaced by what it returns."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.name = function, function.__name__

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        value = vars(owner)[self.name] = self.function(owner)
        return value


class LazyOnClass(Lazy):
    """The same, once for all objects of a class."""

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self
        value = self.function(owner)
        setattr(kind, self.name, value)
        return value
