"""What only the `threading` of Python 3.11 and 3.12 needs to have threads that are tasks.

The idea: there a thread's end is told by a lock, its sentinel, which the interpreter releases when
the thread's state goes away. A task has no such state, so it has a sentinel of its own kind, and
releases it itself.

Do not add: what 3.13 needs as well; that is in the table and in locks.py.
"""

import threading
from typing import Any

from fibril import _core
from fibril._core import current_fiber

__all__ = ["PATCHES", "Sentinel", "adopt"]

PATCHES = [
    ("threading", "_start_new_thread", "fibril.thread", "start_new_thread"),
    ("threading", "_set_sentinel", "fibril.monkey.thread_3_11", "Sentinel"),
]


class Sentinel:
    """The end of a thread, as the lock that `threading` takes it for.

    The fiber that acquires it first is the thread; when that one releases it, the thread has ended,
    and all who wait for it go on. For others release does nothing, and acquire only waits:
    `threading` releases what it did not get when its wait is interrupted, which would end a thread
    that still runs.

    Switches: if it must wait. Threads: any.
    """

    def __init__(self) -> None:
        self._owner = 0
        self._interrupted = 0  # whose wait was just ended by an exception
        self._ended = _core.Event()
        vars(current_fiber())["_sentinel"] = self

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait for the end; False if it may not be waited for, or not any longer."""
        if not self._owner:
            self._owner = id(current_fiber())
            return True
        if not blocking:
            return self._ended.is_set()
        try:
            return self._ended.wait(None if timeout < 0 else timeout)
        except BaseException:
            self._interrupted = id(current_fiber())
            raise

    def release(self) -> None:
        """Tell that the thread has ended, if it is the thread who says so."""
        if id(current_fiber()) == self._owner:
            self._ended.set()

    def locked(self) -> bool:
        """Whether the thread runs; False also for who asks because its wait was interrupted."""
        if self._interrupted == id(current_fiber()):
            self._interrupted = 0
            return False
        return not self._ended.is_set()

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]


def adopt() -> None:
    """Let tasks wait for the main thread's end.

    Switches: never. Threads: owner; called once, by patch_thread.
    """
    main: Any = threading.main_thread()
    native_sentinel = main._tstate_lock
    if native_sentinel is not None and threading.get_ident() == main.ident:
        main._tstate_lock = Sentinel()
        main._tstate_lock.acquire()
        ends: set[Any] = threading._shutdown_locks  # type: ignore[attr-defined]
        ends.discard(native_sentinel)
        ends.add(main._tstate_lock)
