"""gevent.thread, served by fibril."""

import _thread
from typing import Any

from fibril import GreenletExit, LoopExit, getcurrent, sleep
from fibril import Task as Greenlet
from fibril.hub import get_hub_if_exists
from fibril.lock import BoundedSemaphore
from fibril.monkey.idents import ident_of as _ident_of
from fibril.monkey.thread_3_13 import Handle as _ThreadHandle
from fibril.monkey.thread_3_13 import make_handle as _make_thread_handle
from fibril.monkey.thread_3_13 import start_joinable_thread
from fibril.thread import *  # noqa: F403
from fibril.thread import __all__ as _fibril_names
from fibril.thread import get_ident as _get_ident

# Of the native thread: since 3.12, and 3.14.
_NEWER = [name for name in ("daemon_threads_allowed", "set_name") if hasattr(_thread, name)]
globals().update({name: vars(_thread)[name] for name in _NEWER})

__implements__ = [
    "LockType",
    "_local",
    "allocate_lock",
    "exit",
    "get_ident",
    "stack_size",
    "start_new_thread",
]
__all__ = [
    *_fibril_names,
    "BoundedSemaphore",
    "Greenlet",
    "GreenletExit",
    "LoopExit",
    "_ThreadHandle",
    "_make_thread_handle",
    "get_hub_if_exists",
    "getcurrent",
    "sleep",
    "start_joinable_thread",
    *_NEWER,
]


def get_ident(gr: Any = None) -> int:
    return _get_ident() if gr is None else _ident_of(gr)
