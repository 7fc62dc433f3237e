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
from typing import Any, Self

from fibril import _core, native
from fibril._builtin import builtin
from fibril._core import LockType, current_fiber, get_ident
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


def _check_timeout(blocking: bool, timeout: float) -> None:
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")


allocate = allocate_lock = lock = LockType
exit_thread = exit


class RLock(_core.RLock):
    """A lock as `threading.RLock` gives it: its owner, a fiber, may take it again.

    Switches: if it must wait. Threads: any.
    """

    __slots__ = ()

    def __new__(cls, *ignored: Any, **also_ignored: Any) -> Self:  # as the native one does
        return super().__new__(cls)

    def __init__(self, *ignored: Any, **also_ignored: Any) -> None:
        super().__init__()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # type: ignore[override]
        """Take the lock; False if another has it and may not be waited for, or not any longer."""
        if timeout == -1:
            return _acquire_again(self, blocking)
        _check_timeout(blocking, timeout)
        return _acquire_again(self, True, timeout)

    def _recursion_count(self) -> int:
        if not self._is_owned():
            return 0
        count = self._release_save()
        self._acquire_restore(count)
        return count

    def _at_fork_reinit(self) -> None:
        while self._is_owned():
            self.release()

    def __repr__(self) -> str:
        state = "locked" if self.locked() else "unlocked"
        return (
            f"<{state} {type(self).__module__}.{type(self).__qualname__} object at {id(self):#x}>"
        )


_acquire_again = _core.RLock.acquire


@builtin
def start_new_thread(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, /
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
    if not isinstance(kwargs, dict | None):
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
