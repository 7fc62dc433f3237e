"""gevent.threading, served by fibril: Thread and Timer are tasks once threads are patched."""

from threading import Thread, Timer

from gevent.thread import get_ident

from fibril import getcurrent
from fibril.local import local
from fibril.monkey.thread_3_13 import start_joinable_thread
from fibril.thread import LockType as Lock
from fibril.thread import RLock, allocate_lock, start_new_thread

__all__ = [
    "Lock",
    "RLock",
    "Thread",
    "Timer",
    "allocate_lock",
    "get_ident",
    "getcurrent",
    "local",
    "start_joinable_thread",
    "start_new_thread",
]
