"""Sub-interpreters: what runs in one keeps no native thread from its other tasks.

The idea: the code in there is not patched, so where it waits or computes, it does so with the
native thread that it is given. It has a lock of the interpreter's of its own, and Python programs
give it a thread; so it gets a native one, and the calling task waits.

Do not add: what is built of these calls, queues and executors; that is the standard library's.
"""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fibril._builtin import builtin_like
from fibril.dispatch.workers import IDLE_S
from fibril.libraries import when_imported
from fibril.threadpool import ThreadPool

__all__ = ["adopt"]

_THREADS_MAX = 1000  # interpreters wait for each other, so a small number could be a deadlock
_MODULES = "_interpreters", "_xxsubinterpreters"  # the latter until 3.12
_CALLS = "exec", "call", "run_string", "run_func"


def adopt() -> None:
    """Hand calls into other interpreters to native threads, once there may be any.

    Switches: never. Threads: any; called once, by patch_thread.
    """
    for name in _MODULES:
        when_imported(name, _adopt)


@functools.cache
def _pool() -> ThreadPool:
    return ThreadPool(_THREADS_MAX, idle_task_timeout=IDLE_S)


def _adopt(module: ModuleType) -> None:
    for name in _CALLS:
        if name in vars(module):
            setattr(module, name, _moved(vars(module)[name]))


def _moved(call: Callable[..., Any]) -> Callable[..., Any]:
    def moved(*args: Any, **kwargs: Any) -> Any:
        return _pool().apply(call, args, kwargs)

    made: Callable[..., Any] = builtin_like(call, moved)
    return made
