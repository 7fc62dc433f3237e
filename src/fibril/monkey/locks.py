"""Locks that exist already when threads are patched.

The idea: a native lock does no harm as long as nobody parks while holding it, which is what most of
the standard library's are for. The few that are held over something that may park (logging writes
to sockets; an executor starts threads) are replaced by new ones.

Do not add: a search for locks in the whole program; other objects may be built on a lock, and would
keep the old one.
"""

import sys
from typing import Any

from fibril.thread import LockType, RLock

__all__ = ["renew"]


def renew() -> None:
    """Replace the standard library's locks that a fiber may hold while it is parked.

    Switches: never. Threads: owner; called once, by patch_thread.
    """
    logging: Any = sys.modules.get("logging")
    if logging is not None:
        logging._lock = RLock()
        for reference in logging._handlerList:
            handler = reference()
            if handler is not None and handler.lock is not None:
                handler.createLock()
    futures: Any = sys.modules.get("concurrent.futures.thread")
    if futures is not None:
        futures._global_shutdown_lock = LockType()
