"""What `threading` says of greenthreads once eventlet's monkey_patch() has patched threads.

The idea: threading.current_thread() gives a greenthread a face like a thread's: one, always the
same, kept by the greenthread itself. Who is a thread keeps what it has.

Threads: any.
"""

from __future__ import annotations

import itertools
import sys
import threading
from typing import Any

from fibril import Task, monkey, native
from fibril._core import current_fiber

from .greenthread import GreenThread

__all__ = ["adopt"]

_numbers = itertools.count(1)


class _GreenThread:
    """A greenthread as `threading` shows threads."""

    daemon = True

    def __init__(self, g: GreenThread) -> None:
        self._g = g
        self.name = f"GreenThread-{next(_numbers)}"

    def __repr__(self) -> str:
        return f"<_GreenThread({self.name}, {self._g!r})>"

    @property
    def ident(self) -> int:
        return id(self._g)

    def join(self, timeout: float | None = None) -> None:
        self._g.join(timeout)

    def is_alive(self) -> bool:
        return not self._g.dead

    def getName(self) -> str:  # noqa: N802  # older names, as threading's
        return self.name

    def setName(self, name: str) -> None:  # noqa: N802
        self.name = str(name)

    def isDaemon(self) -> bool:  # noqa: N802
        return True

    isAlive = is_alive  # noqa: N815
    is_daemon, get_name, set_name = isDaemon, getName, setName


def adopt() -> None:
    """Have threading.current_thread() know greenthreads.

    Switches: never. Threads: owner; called once.
    """
    original = monkey.get_original("threading", "current_thread")

    def current_thread() -> Any:
        fiber = current_fiber()
        if isinstance(fiber, GreenThread):
            names = vars(fiber)
            return names.get("_face") or names.setdefault("_face", _GreenThread(fiber))
        if isinstance(fiber, Task) and id(fiber) not in vars(threading)["_active"]:
            return threading.main_thread()  # as eventlet has it for what spawn_n() starts
        # A native thread of the other copy of threading: see patcher.original.
        copy: Any = sys.modules.get("__original_module_threading")
        if copy is not None and fiber.parent is None:
            found = copy._active.get(native.get_ident())
            if found is not None and found is not copy.main_thread():
                return found
        return original()

    for name in ("current_thread", "currentThread"):
        monkey.patch_item(threading, name, current_thread)
