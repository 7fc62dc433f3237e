"""The standard library's blocking primitives, as they are before any patch.

The idea: these names are taken once, when fibril is first imported, so whatever `fibril.monkey`
puts in place of them later, fibril and its users still reach the real ones here. Each of them
blocks its whole native thread and knows nothing of fibers.

Invariant: nothing in this module is ever rebound. Any thread may use it.
Do not add: anything that is not simply the interpreter's own, or about its native threads.
"""

from __future__ import annotations

import _queue
import _thread
import os as _os
import select as _select
import threading as _threading
import time as _time
from typing import TYPE_CHECKING

from fibril._core import watchdog_is_running

if TYPE_CHECKING:
    from collections.abc import Callable

    from fibril import _core

__all__ = [
    "Empty",
    "RLock",
    "SimpleQueue",
    "allocate_lock",
    "epoll",
    "get_ident",
    "has_foreign_threads",
    "idle_threads",
    "is_dead_end",
    "local",
    "poll",
    "program_thread_count",
    "select",
    "sleep",
    "start_new_thread",
    "starting_threads",
    "worker_threads",
]

allocate_lock = _thread.allocate_lock
get_ident = _thread.get_ident
start_new_thread = _thread.start_new_thread
_count = _thread._count
RLock = _thread.RLock
local = _threading.local
SimpleQueue = _queue.SimpleQueue
Empty = _queue.Empty
# Not `time.sleep`: a program may have made that name a property of the module.
sleep: Callable[[float], None] = vars(_time)["sleep"]
select = _select.select
poll = _select.poll
epoll = _select.epoll

# Identities of fibril's own native threads, and of those of them that wait for work, and so will
# wake nobody by themselves; and something for each that was started and is not counted yet.
worker_threads: set[int] = set()
idle_threads: set[int] = set()
starting_threads: set[object] = set()
_lost_count = 0  # threads that stayed in the parent process, which the interpreter still counts


def is_dead_end(hub: _core.Hub, *, tell: bool) -> bool:
    """Whether no native thread could wake a fiber of this hub, which found nothing to do: each is
    idle, or its hub has found the same. `tell`: then each of those hubs learns of it, too.

    Switches: never. Threads: owner.
    """
    return hub.is_dead_end(tell, _count, _lost_count, idle_threads, starting_threads)


def has_foreign_threads() -> bool:
    """Whether there are native threads that Python does not know: a C library's, which may call
    back.

    Switches: never. Threads: any.
    """
    known = 1 + _count() - _lost_count + len(starting_threads) + watchdog_is_running()
    try:
        return len(_os.listdir("/proc/self/task")) > known
    except OSError:  # there is no /proc, or no descriptor left
        return False


def program_thread_count() -> int:
    """How many native threads the program has started, which fibril's own are not.

    Switches: never. Threads: any.
    """
    return _count() - _lost_count - len(worker_threads)


def _forget_threads() -> None:
    """In the child of a fork: the thread that forked is the only one."""
    global _lost_count
    _lost_count = _count()
    for threads in (worker_threads, idle_threads, starting_threads):
        threads.clear()


_os.register_at_fork(after_in_child=_forget_threads)
