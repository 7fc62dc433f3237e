"""eventlet.greenpool, served by fibril: so many greenthreads at once, and results in order.

The idea: a permit of a semaphore is out for each member; a link gives it back when that ends.

Invariant: permits that were lent before the pool shrank are dropped when they come back.
Threads: owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import fibril
from fibril import Fiber, _core, getcurrent

from . import greenthread
from .queue import LightQueue
from .semaphore import Semaphore

__all__ = ["GreenMap", "GreenPile", "GreenPool"]


class GreenPool:
    """At most `size` greenthreads at once; spawn() waits for a place.

    Switches: if it must wait. Threads: owner. Raises TypeError, ValueError for a size below 0.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> import eventlet
    >>> list(eventlet.GreenPool(2).imap(pow, [2, 3, 4], [2, 2, 2]))
    [4, 9, 16]
    """

    def __init__(self, size: int = 1000) -> None:
        self.sem = Semaphore(size)
        self.size = int(size)
        self._surplus = 0  # permits that are out, and too many
        self.coroutines_running: set[Fiber] = set()
        self._empty = _core.Event()
        self._empty.set()

    # ---- how many ----

    def resize(self, new_size: int) -> None:
        """At most so many from now on; those that run go on."""
        change, self.size = new_size - self.size, new_size
        for _ in range(change):
            self._give_back()
        for _ in range(-change):
            if not self.sem.acquire(blocking=False):
                self._surplus += 1

    def _give_back(self) -> None:
        if self._surplus:
            self._surplus -= 1
        else:
            self.sem.release()

    def running(self) -> int:
        """How many run."""
        return len(self.coroutines_running)

    def free(self) -> int:
        """How many more may run; below 0 where the pool has shrunk."""
        return self.sem.counter - self._surplus

    def waiting(self) -> int:
        """How many wait for a place."""
        return max(0, -self.sem.balance)

    # ---- members ----

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call function(*args, **kwargs) in a GreenThread; returns that.

        In a member of a pool that is full it is called at once, because its own place may be the
        one that it would wait for.
        """
        if self._is_full_for_member():
            return greenthread.spawn(_same, function(*args, **kwargs))
        self.sem.acquire()
        return self._begin(greenthread.GreenThread(function, args, kwargs))

    def spawn_n(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """spawn() without a result; what the function raises is told."""
        if self._is_full_for_member():
            self._call_here(function, args, kwargs)
        else:
            self.sem.acquire()
            self._begin(greenthread.GreenThread(function, args, kwargs))

    def _is_full_for_member(self) -> bool:
        return self.sem.locked() and getcurrent() in self.coroutines_running

    @staticmethod
    def _call_here(function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except (KeyboardInterrupt, SystemExit, fibril.GreenletExit):
            raise
        except Exception as error:
            fibril.get_hub().handle_error(function, type(error), error, error.__traceback__)

    def _begin(self, thread: greenthread.GreenThread) -> greenthread.GreenThread:
        self.coroutines_running.add(thread)
        self._empty.clear()
        thread.link(self._end)
        thread.start()
        return thread

    def _end(self, thread: Fiber) -> None:
        self.coroutines_running.discard(thread)
        self._give_back()
        if not self.coroutines_running:
            self._empty.set()

    def waitall(self) -> None:
        """Wait until none runs. Raises AssertionError in a member, which would wait for itself."""
        if getcurrent() in self.coroutines_running:
            raise AssertionError(
                "cannot wait for all of a pool in one of its own greenthreads, which would wait "
                "for itself"
            )
        while self.coroutines_running:
            self._empty.wait()

    # ---- many calls ----

    def imap(self, function: Callable[..., Any] | None, *iterables: Iterable[Any]) -> GreenMap:
        """Iterate over function(*items), called in the pool, in the order of the items.

        None for a function: the items themselves, as tuples. As many results as the pool has places
        are kept before they are taken.
        """
        return self.starmap(function, zip(*iterables, strict=False))

    def starmap(self, function: Callable[..., Any] | None, iterable: Iterable[Any]) -> GreenMap:
        """imap() of an iterable of tuples of arguments."""
        results = GreenMap(self)
        greenthread.spawn_n(self._map, function or _together, iterable, results)
        return results

    @staticmethod
    def _map(function: Callable[..., Any], iterable: Iterable[Any], results: GreenMap) -> None:
        for args in iterable:
            results.spawn(function, *args)
        results.done_spawning()


def _same(value: Any) -> Any:
    return value


def _together(*args: Any) -> Any:
    return args


class GreenPile:
    """Results of greenthreads in the order in which they were spawned: iterate over it.

    size_or_pool: how many at once, or a GreenPool that others may use, too.

    Switches: if it must wait. Threads: owner.
    """

    def __init__(self, size_or_pool: int | GreenPool = 1000) -> None:
        self.pool = size_or_pool if isinstance(size_or_pool, GreenPool) else GreenPool(size_or_pool)
        self.waiters = LightQueue()
        self.used = False  # has anything been spawned?
        self.counter = 0  # how many results are still to be taken

    def spawn(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call func(*args, **kwargs) in the pool."""
        self.used = True
        self.counter += 1
        try:
            self.waiters.put(self.pool.spawn(func, *args, **kwargs))
        except BaseException:
            self.counter -= 1
            raise

    def __iter__(self) -> GreenPile:
        return self

    def __next__(self) -> Any:
        """The next result, or raises what the function raised; the iteration can go on then."""
        if not self.counter:
            raise StopIteration
        return self._take().wait()

    def _take(self) -> Any:
        try:
            return self.waiters.get()
        finally:
            self.counter -= 1

    def next(self) -> Any:
        """The same."""
        return self.__next__()


class GreenMap(GreenPile):
    """What imap() returns. Of results that nobody takes there are no more than places."""

    def __init__(self, size_or_pool: int | GreenPool) -> None:
        super().__init__(size_or_pool)
        self.waiters = LightQueue(maxsize=self.pool.size)

    def done_spawning(self) -> None:
        """There will be no more."""
        self.waiters.put(None)

    def __next__(self) -> Any:
        thread = self.waiters.get()
        if thread is None:
            self.waiters.put(None)  # for who asks again
            raise StopIteration
        self.counter -= 1
        return thread.wait()
