"""eventlet.semaphore, served by fibril: its semaphores, which say how many wait."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from fibril import _core

__all__ = ["BoundedSemaphore", "CappedSemaphore", "Semaphore"]


class Semaphore(_core.Semaphore):
    """So many permits; who wants one more waits.

    value: how many. acquire() returns False where none is to be had, or not in `timeout` seconds.

    Switches: if it must wait. Threads: any. Raises TypeError, ValueError for a value below 0.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> import eventlet
    >>> semaphore = eventlet.Semaphore(0)
    >>> semaphore.acquire(timeout=0.001), semaphore.balance
    (False, 0)
    """

    def __init__(self, value: int = 1) -> None:
        super().__init__(_count(value))
        self._waiting = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} c={self.counter} w={self._waiting}>"

    __str__ = __repr__

    def locked(self) -> bool:
        """Whether acquire() would wait."""
        return self.counter <= 0

    def bounded(self) -> bool:
        """False: release() never waits."""
        return False

    @property
    def balance(self) -> int:
        """How many permits there are; below 0: how many wait for one."""
        return self.counter - self._waiting

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a permit: True; False: there is none, or none in time.

        timeout: seconds; None, and -1, for ever.
        """
        if timeout == -1:
            timeout = None
        if timeout is not None:
            if not blocking:
                raise ValueError("cannot acquire in some time and without blocking: choose one")
            if timeout < 0:
                raise ValueError(f"cannot wait for {timeout!r} seconds: give a positive number")
        if super().acquire(False):
            return True
        if not blocking:
            return False
        self._waiting += 1
        try:
            return super().acquire(True, timeout)
        finally:
            self._waiting -= 1

    def __enter__(self) -> bool:
        return self.acquire()

    def release(self, blocking: bool = True) -> bool:
        """Give a permit back; True. blocking: for CappedSemaphore's sake."""
        super().release()
        return True


class BoundedSemaphore(Semaphore):
    """A Semaphore that refuses more permits than it began with, by a ValueError."""

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self.original_counter = self.counter

    def release(self, blocking: bool = True) -> bool:
        """Give a permit back; True."""
        if self.counter >= self.original_counter:
            raise ValueError(
                f"cannot release {self!r}: it has all its permits. Release what was acquired, once."
            )
        return super().release(blocking)


class CappedSemaphore:
    """A semaphore with a limit above, too: release() waits until there is room.

    count: how many permits at first. limit: how many at most.

    Switches: if it must wait. Threads: any.
    """

    def __init__(self, count: int, limit: int) -> None:
        if count < 0 or limit < count:
            raise ValueError(f"cannot begin with {count!r} of at most {limit!r} permits")
        self.lower_bound = Semaphore(count)
        self.upper_bound = Semaphore(limit - count)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} b={self.balance}>"

    __str__ = __repr__

    def locked(self) -> bool:
        """Whether acquire() would wait."""
        return self.lower_bound.locked()

    def bounded(self) -> bool:
        """Whether release() would wait."""
        return self.upper_bound.locked()

    @property
    def balance(self) -> int:
        """Below 0: how many wait to acquire, or could release; else how many could acquire."""
        return self.lower_bound.balance - self.upper_bound.balance

    def acquire(self, blocking: bool = True) -> bool:
        """Take a permit: True; False: there is none."""
        if not self.lower_bound.acquire(blocking):
            return False
        return self.upper_bound.release()

    def release(self, blocking: bool = True) -> bool:
        """Give a permit back; True; False: there is no room."""
        if not blocking and self.bounded():
            return False
        self.lower_bound.release()  # first: who waits for it makes the room
        try:
            return self.upper_bound.acquire()
        except BaseException:
            # Taken back; or who has taken it meanwhile has made room, which nobody needs.
            if not self.lower_bound.acquire(False):
                self.upper_bound.acquire(False)
            raise

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.release()


def _count(value: Any) -> int:
    try:
        count = int(value)
    except ValueError:
        raise TypeError(f"cannot have {value!r} permits: give a whole number.") from None
    if count < 0:
        raise ValueError(f"cannot have {count} permits: give 0 or more.")
    return count
