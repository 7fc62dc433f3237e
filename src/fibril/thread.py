"""The standard library's `_thread`, where a thread is a task and a lock parks a fiber.

The idea: these few primitives are all that `threading`, `queue` and `concurrent.futures` block on.
`fibril.monkey.patch_thread` puts them there, and Thread, Condition, Event, Queue and the executors
stay the standard library's own classes.

Invariants: a lock may be taken and released by any fiber of any native thread. The main fiber of a
native thread has that thread's identity, so whatever ran before a patch stays who it was; any other
fiber's identity is its id().
Do not add: what is built of these in the standard library.
"""

import contextvars
from _thread import TIMEOUT_MAX, error, exit, get_native_id, interrupt_main, stack_size
from collections.abc import Callable
from typing import Any

from fibril import _core, native
from fibril._builtin import builtin
from fibril._core import LockType, current_fiber, get_ident
from fibril._core import ThreadRLock as RLock
from fibril.errors import GreenletExit
from fibril.local import local as _local

__all__ = [
    "TIMEOUT_MAX",
    "LockType",
    "RLock",
    "_local",
    "allocate",
    "allocate_lock",
    "error",
    "exit",
    "exit_thread",
    "get_ident",
    "get_native_id",
    "interrupt_main",
    "lock",
    "stack_size",
    "start_new",
    "start_new_thread",
]


allocate = allocate_lock = lock = LockType
exit_thread = exit


_NO_KEYWORDS: dict[str, Any] = {}


@builtin
def start_new_thread(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any] = _NO_KEYWORDS, /
) -> int:
    """Run function(*args, **kwargs) in a new task; its identity.

    Like a native thread it begins with no context variables, SystemExit ends it silently, and of
    any other exception sys.unraisablehook is told.

    Switches: never. Threads: any. Raises TypeError for what is no function, tuple or dict.
    """
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(args, tuple):
        raise TypeError("2nd arg must be a tuple")
    if not isinstance(kwargs, dict | None):  # gevent takes None
        raise TypeError("optional 3rd arg must be a dictionary")
    task = _core.spawn(_run, function, args, kwargs or {})
    _core.set_daemon(task)  # those that are not daemons are joined before the program ends
    return id(task)


def _run(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    _running.add(current_fiber())
    try:
        contextvars.Context().run(function, *args, **kwargs)
    except (SystemExit, GreenletExit):
        pass
    except BaseException as error:
        _core.report_thread(function, error)
    finally:
        _running.discard(current_fiber())
        # How `threading` until Python 3.12 learns of a thread's end.
        sentinel = vars(current_fiber()).pop("_sentinel", None)
        if sentinel is not None:
            sentinel.release()


@builtin
def _count() -> int:
    """How many threads there are beside the main one."""
    return len(_running) + native.program_thread_count()


_running: set[_core.Fiber] = set()
start_new = start_new_thread
