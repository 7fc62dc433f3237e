"""Locks that exist already when threads are patched.

The idea: a native lock does no harm as long as nobody parks while holding it, which is what most of
the standard library's are for. The few that are held over something that may park (logging writes
to sockets; an executor starts threads) are replaced by new ones. What tells threads apart and is a
global of somebody's module, a local or a lock with an owner, cannot tell tasks apart: it is named
in a warning.

Do not add: a search for locks in the whole program; other objects may be built on a lock, and would
keep the old one.
"""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from fibril import native
from fibril.monkey.rebind import warn
from fibril.thread import LockType, RLock

__all__ = ["renew", "renew_logging", "shared", "tell_shared"]


def renew() -> None:
    """Replace the lock that executors hold while they start threads.

    Switches: never. Threads: owner; called once, by patch_thread.
    """
    futures: Any = sys.modules.get("concurrent.futures.thread")
    if futures is not None:
        futures._global_shutdown_lock = LockType()


def renew_logging() -> None:
    """Replace the locks that a fiber may hold while a handler of `logging` waits.

    Switches: never. Threads: owner; called once, by patch_thread.
    """
    logging: Any = sys.modules.get("logging")
    if logging is not None:
        logging._lock = _renewed(logging._lock)
        for reference in logging._handlerList:
            handler = reference()
            if handler is not None and handler.lock is not None:
                former = handler.lock
                handler.createLock()
                _take_as_often(former, handler.lock)


def _renewed(former: Any) -> RLock:
    lock = RLock()
    _take_as_often(former, lock)
    return lock


def _take_as_often(former: Any, lock: Any) -> None:
    """Whoever patches while it has the former lock will release the new one: up to 3.12 logging
    looks its locks up again to release them. Later it is in a `with` block of the former."""
    is_held = isinstance(former, native.RLock) and former._is_owned()  # type: ignore[attr-defined]
    if not is_held or sys.version_info >= (3, 13):
        return
    state = former._release_save()
    former._acquire_restore(state)
    for _ in range(state[0]):
        lock.acquire()


def tell_shared() -> None:
    """Warn of objects from before the patch by which tasks of one thread are not told apart.

    Switches: never. Threads: owner.
    """
    names = sorted(shared())
    if names:
        warn(
            f"{', '.join(names)}: made before the patch, so all tasks of a thread share it: a "
            "local has one value for them, and an RLock lets each of them in. Patch first thing in "
            "the program, or run it by `fibril run`."
        )


def shared() -> Iterator[str]:
    """Globals of modules, locals and locks with an owner, that are older than the patch.

    Switches: never. Threads: any.
    """
    for module_name, module in list(sys.modules.items()):
        top = module_name.partition(".")[0]
        if not isinstance(module, ModuleType) or top == "fibril" or top in sys.stdlib_module_names:
            continue
        for name, value in list(vars(module).items()):
            if isinstance(value, (native.local, native.RLock)):
                yield f"{module_name}.{name}"
