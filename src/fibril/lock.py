"""Locks: who must wait gives way to others, and is served in order.

All but DummySemaphore are native (csrc: semaphore_type.c, bounded_type.c); Condition is in
fibril.condition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fibril._core import BoundedSemaphore, RLock, Semaphore, get_hub
from fibril.condition import Condition

__all__ = ["BoundedSemaphore", "Condition", "DummySemaphore", "RLock", "Semaphore"]


class DummySemaphore:
    """Looks like a Semaphore and never makes anybody wait: for where a limit is optional.

    Switches: never. Threads: any.

    >>> from fibril.lock import DummySemaphore
    >>> DummySemaphore().acquire()
    True
    """

    def __init__(self, value: object = None) -> None:
        self.counter = value

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Return True.

        Switches: never. Threads: any.
        """
        return True

    def release(self) -> None:
        """Do nothing.

        Switches: never. Threads: any.
        """

    def locked(self) -> bool:
        """Return False.

        Switches: never. Threads: any.
        """
        return False

    def ready(self) -> bool:
        """Return True.

        Switches: never. Threads: any.
        """
        return True

    def wait(self, timeout: float | None = None) -> int:
        """Return 1: a permit is free.

        Switches: never. Threads: any.
        """
        return 1

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Have this thread's hub call callback(self) soon: it is ready.

        Switches: never. Threads: any.
        """
        get_hub().call_soon(callback, self)

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Do nothing: no link lasts.

        Switches: never. Threads: any.
        """

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *unused: Any) -> None:
        return None
