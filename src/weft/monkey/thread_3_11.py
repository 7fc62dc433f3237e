"""What only the `threading` of Python 3.11 and 3.12 needs to have threads that are tasks.

The idea: there a thread's end is told by a lock that the interpreter releases when the thread's
state goes away, its sentinel. A task has no such state, so the task itself releases it.

Do not add: what 3.13 needs as well; that is in the table and in locks.py.
"""

import threading
import weakref
from typing import Any

from weft import _core
from weft.monkey import locks
from weft.thread import LockType

__all__ = ["PATCHES", "adopt"]

PATCHES = [
    ("threading", "_start_new_thread", "weft.thread:start_new_thread"),
    ("threading", "_set_sentinel", "weft.thread:_set_sentinel"),
    ("threading", "_DummyThread.__init__", "weft.monkey.thread_3_11:init_dummy"),
]

_init_dummy = threading._DummyThread.__init__  # type: ignore[attr-defined]


def init_dummy(self: Any) -> None:
    """A task that is no Thread asked which Thread it is: its dummy goes when the task goes.

    Switches: never. Threads: any.
    """
    _init_dummy(self)
    forget = weakref.finalize(_core.getcurrent(), _forget, self.ident)
    forget.atexit = False


def _forget(ident: int) -> None:
    threading._active.pop(ident, None)  # type: ignore[attr-defined]


def adopt() -> None:
    """Let tasks wait for the main thread's end, and for the locks that are there already.

    Switches: never. Threads: owner; called once, by patch_thread.
    """
    main: Any = threading.main_thread()
    native_sentinel = main._tstate_lock
    if native_sentinel is not None and isinstance(native_sentinel, locks.NativeLock):
        sentinel = LockType()
        sentinel.acquire()
        main._tstate_lock = sentinel
        ends: set[Any] = threading._shutdown_locks  # type: ignore[attr-defined]
        ends.discard(native_sentinel)
        ends.add(sentinel)
    locks.renew()
