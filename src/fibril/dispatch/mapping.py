"""Calling functions through a group or pool: apply, map and imap, and their variants.

The idea: whoever can spawn(fn, *args), and says whether that would wait, gets the rest from here.
An iteration has a feeder, a task that spawns the calls and queues what comes of them, and the
consumer takes from that queue.

Invariant: nothing here knows what runs a call, a task or a native thread.
Do not add: members, limits, threads. Those are fibril.pool's and fibril.threadpool's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from fibril._core import Task
from fibril.lock import DummySemaphore, Semaphore
from fibril.queue import Queue

__all__ = ["GroupMappingMixin", "IMap", "IMapUnordered"]

_A = TypeVar("_A")
_R = TypeVar("_R")


class GroupMappingMixin:
    """What Group, Pool and ThreadPool have in common: ways to call a function in a member.

    Switches: as the function does. Threads: owner.
    """

    def spawn(self, *args: Any, **kwargs: Any) -> Any:
        """Start fn(*args, **kwargs) in a member: spawn(fn, *args, **kwargs); returns its result.

        Switches: if it must wait for a place. Threads: owner.
        """
        raise NotImplementedError

    def full(self) -> bool:
        """Whether spawn() would wait.

        Switches: never. Threads: any.
        """
        raise NotImplementedError

    def _is_own_worker(self) -> bool:
        """Is the caller a member? It must not wait for another to be given its place."""
        raise NotImplementedError

    def _must_apply_in_task(self) -> bool:
        """Does apply_async() need a task that waits, instead of what spawn() returns?"""
        return self.full()

    @staticmethod
    def _call_back(callback: Callable[[Any], Any], result: Any) -> None:
        """Where apply_cb() calls its callback: here, in a new task."""
        Task.spawn(callback, result)

    def apply(
        self,
        func: Callable[..., _R],
        args: Iterable[Any] | None = None,
        kwds: dict[str, Any] | None = None,
    ) -> _R:
        """Call func(*args, **kwds) in a member and return what it returns, or raise.

        In one of the members it is called at once: to wait there for a place could be for ever.

        Switches: always, but in a member. Threads: owner.
        """
        args, kwds = tuple(args or ()), kwds or {}
        if self._is_own_worker():
            return func(*args, **kwds)
        result: _R = self.spawn(func, *args, **kwds).get()  # no name for the task: no cycle
        return result

    def apply_cb(
        self,
        func: Callable[..., _R],
        args: Iterable[Any] | None = None,
        kwds: dict[str, Any] | None = None,
        callback: Callable[[_R], Any] | None = None,
    ) -> _R:
        """apply(), and then callback(result) in a new task; returns the result.

        Switches: always, but in a member. Threads: owner.
        """
        result = self.apply(func, args, kwds)
        if callback is not None:
            self._call_back(callback, result)
        return result

    def apply_async(
        self,
        func: Callable[..., _R],
        args: Iterable[Any] | None = None,
        kwds: dict[str, Any] | None = None,
        callback: Callable[[_R], Any] | None = None,
    ) -> Task[_R]:
        """Start apply() and return its task; callback(result) is called if it does not raise.

        If there is no place, a task that is no member waits for one.

        Switches: never. Threads: owner.
        """
        args, kwds = tuple(args or ()), kwds or {}
        if self._must_apply_in_task():
            return Task.spawn(self.apply_cb, func, args, kwds, callback)
        greenlet: Task[_R] = self.spawn(func, *args, **kwds)
        if callback is not None:
            greenlet.link_value(_PassValue(callback))
        return greenlet

    def map(self, func: Callable[[_A], _R], iterable: Iterable[_A]) -> list[_R]:
        """[func(item) for item in iterable], each call in a member.

        Switches: if there are items. Threads: owner. Raises what the first failing call raises.
        """
        return list(self.imap(func, iterable))

    def map_cb(
        self,
        func: Callable[[_A], _R],
        iterable: Iterable[_A],
        callback: Callable[[list[_R]], Any] | None = None,
    ) -> list[_R]:
        """map(), and then callback(results); returns the results.

        Switches: if there are items. Threads: owner.
        """
        results = self.map(func, iterable)
        if callback is not None:
            callback(results)
        return results

    def map_async(
        self,
        func: Callable[[_A], _R],
        iterable: Iterable[_A],
        callback: Callable[[list[_R]], Any] | None = None,
    ) -> Task[list[_R]]:
        """Start map() in a task that is no member, and return it.

        Switches: never. Threads: owner.
        """
        return Task.spawn(self.map_cb, func, iterable, callback)

    def imap(
        self, func: Callable[..., _R], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> Iterator[_R]:
        """Iterate over the results of map(func, *iterables), the calls in members, in order.

        maxsize: at most so many calls are started whose results were not taken; None: any number.
        A call that raised raises at its turn, and the iteration may go on.

        Switches: in next(), if it must wait. Threads: owner.

        >>> from fibril.pool import Pool
        >>> list(Pool(2).imap(pow, [2, 3], [3, 2]))
        [8, 9]
        """
        arguments = zip(*iterables, strict=False)
        return IMap(func, arguments, self.spawn, maxsize, is_zipped=True)

    def imap_unordered(
        self, func: Callable[..., _R], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> Iterator[_R]:
        """imap(), the results in the order in which they come.

        Switches: in next(), if it must wait. Threads: owner.
        """
        arguments = zip(*iterables, strict=False)
        return IMapUnordered(func, arguments, self.spawn, maxsize, is_zipped=True)


class _PassValue:
    """A link that is called with what the task returned."""

    def __init__(self, callback: Callable[[Any], Any]) -> None:
        self._callback = callback

    def __call__(self, greenlet: Task) -> None:
        self._callback(greenlet.value)


class _End:
    """Put behind the last task: there are no more, because of `error` if there is one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class IMapUnordered:
    """What imap_unordered() returns: the results of calls, in the order in which they come.

    spawn(func, item) is called for each item of the iterable, by a task, and gives what is waited
    for: a task, or a result. maxsize: at most so many whose results were not taken; None: any
    number. The one that is waited for stays in `_head`, so that a next() that is killed loses
    nothing.

    Switches: in next(), if it must wait. Threads: owner.

    >>> import fibril
    >>> from fibril.pool import IMapUnordered
    >>> sorted(IMapUnordered(abs, [-1, -2], fibril.spawn))
    [1, 2]
    """

    _unread_count = 0  # calls that were started and whose results were not taken

    def __init__(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        spawn: Callable[..., Any],
        maxsize: int | None = None,
        *,
        is_zipped: bool = False,
    ) -> None:
        arguments = iter(iterable) if is_zipped else zip(iterable, strict=False)
        self._room: Any = DummySemaphore() if maxsize is None else Semaphore(maxsize)
        #: What has come of the calls, or for IMap the calls, until it is taken.
        self.queue: Any = Queue()
        self._turn = Semaphore(1)  # of who calls next()
        self._head: Any = None
        self._feeder = Task.spawn(self._feed, func, arguments, spawn)

    def _feed(
        self,
        func: Callable[..., Any],
        arguments: Iterator[tuple[Any, ...]],
        spawn: Callable[..., Any],
    ) -> None:
        end = _End()
        try:
            while True:
                self._room.acquire()  # before the item is asked for: making one may cost something
                try:
                    given = next(arguments)
                except StopIteration:
                    break
                self._note(spawn(func, *given))
        except BaseException as error:  # of the iterable: raised by next(), where it was asked for
            end = _End(error)
        self.queue.put(end)

    def _note(self, spawned: Any) -> None:
        self._unread_count += 1
        spawned.rawlink(self.queue.put)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._turn:
            # The end is in the queue as soon as the last call is started, before most results.
            while self._head is None or self._unread_count > 0:
                done = self.queue.get()
                if not isinstance(done, _End):
                    self._unread_count -= 1
                    break
                self._head = done
            else:
                return self._finish(self._head)
        self._room.release()
        try:
            return done.get()
        finally:
            del done  # what it raises has this frame: no cycle

    def _finish(self, end: _End) -> Any:
        error, end.error = end.error, None  # raised once: who asks again is told that it is over
        try:
            raise StopIteration if error is None else error
        finally:
            del error  # it has this frame: no cycle


class IMap(IMapUnordered):
    """What imap() returns: as IMapUnordered, the results in the order of their items.

    Switches: in next(), if it must wait. Threads: owner.

    >>> import fibril
    >>> from fibril.pool import IMap
    >>> list(IMap(abs, [-1, -2], fibril.spawn))
    [1, 2]
    """

    def _note(self, spawned: Any) -> None:
        self.queue.put(spawned)

    def __next__(self) -> Any:
        with self._turn:
            if self._head is None:
                self._head = self.queue.get()
            if isinstance(self._head, _End):
                return self._finish(self._head)
            _wait_for(self._head)
            done, self._head = self._head, None
        self._room.release()
        try:
            return done.get()
        finally:
            del done  # what it raises has this frame: no cycle


def _wait_for(spawned: Any) -> None:
    """Until it is ready, whatever has become of it: a task, or the result of a call elsewhere."""
    if isinstance(spawned, Task):
        spawned.join()
    else:
        spawned.wait()
