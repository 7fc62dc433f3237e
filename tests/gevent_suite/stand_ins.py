"""What gevent's own tests import of its private modules, where fibril's package does not have it.

Facts of Python and of the system, and attributes that are made when somebody asks: what gevent's
authors keep for themselves, and no program uses. Imported as gevent.stand_ins in the processes that
run the tests (place.py). Do not add: names that programs use.
"""

import importlib
import io
import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fibril import _core

__all__ = ["fill"]

NAMES = {
    "_compat": (
        "LINUX NativeStrIO OSX PURE_PYTHON PYPY WIN _fspath get_clock_info get_this_psutil_process"
        " perf_counter reraise thread_mod_name"
    ),
    "_config": "validate_bool",
    "_fileobjectcommon": "OpenDescriptor WriteallMixin",
    "_fileobjectposix": "GreenOpenDescriptor",
    "_greenlet_primitives": "get_reachable_greenlets",
    "_patcher": "MAPPING",
    "hub": "_get_hub",
    "_util": "Lazy LazyOnClass",
}


def fill() -> None:
    """Put those that are not there into modules of gevent, which are made if need be.

    And have the poller its descriptor from the beginning, as gevent's loop: some tests close a
    number twice, and it would have that number then.
    """
    _core.sleep(1e-4)
    for module_name, names in NAMES.items():
        full_name = f"gevent.{module_name}"
        try:
            module = importlib.import_module(full_name)
        except ModuleNotFoundError:
            module = sys.modules[full_name] = ModuleType(full_name)
            setattr(sys.modules["gevent"], module_name, module)
        for name in names.split():
            vars(module).setdefault(name, globals()[name])


PYPY = sys.implementation.name == "pypy"
WIN = sys.platform == "win32"
LINUX = sys.platform == "linux"
OSX = sys.platform == "darwin"
PURE_PYTHON = False
NativeStrIO = io.StringIO
thread_mod_name = "_thread"
_fspath = os.fspath
get_clock_info, perf_counter = time.get_clock_info, time.perf_counter


def reraise(kind: type[BaseException], value: BaseException, traceback: Any = None) -> None:
    raise value.with_traceback(traceback)


class Absent:
    """What fibril has nothing for: who only imports it goes on."""


OpenDescriptor = WriteallMixin = GreenOpenDescriptor = Absent
# Which of the standard library's modules each of gevent's stands for.
MAPPING = {"gevent.local": "_threading_local", "gevent.thread": "_thread"}
MAPPING |= {
    f"gevent.{name}": name
    for name in [
        "builtins",
        "contextvars",
        "os",
        "queue",
        "select",
        "selectors",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "threading",
        "time",
    ]
}


def _get_hub() -> Any:
    return _core.get_hub_if_exists()


def get_reachable_greenlets() -> list[Any]:
    return [fiber for _, fiber, *_ in _core.all_fibers()]


def validate_bool(value: Any) -> bool:
    return (
        value.lower().strip() in {"1", "true", "on", "yes"}
        if isinstance(value, str)
        else bool(value)
    )


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
