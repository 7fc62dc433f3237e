"""Groups of tasks, and pools: groups that never run more than so many at once.

The idea: a group is a set. A task is added before it starts, and a link takes it out when it has
ended, so whoever is in the set is alive, and waiting for the group is waiting for the set to be
empty. A pool has besides a semaphore: adding takes a permit, leaving gives it back.

Invariants: a permit is out for each member of a pool, no more and no fewer, whatever is killed
meanwhile. The link runs in the hub, so it never waits.
Do not add: results kept for tasks that have left. Who wants a result keeps the task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from weft import _core
from weft._core import Task, getcurrent
from weft.errors import GreenletExit
from weft.lock import DummySemaphore, Semaphore
from weft.queue import Full, Queue
from weft.task import joinall, kill
from weft.timeout import Timeout

__all__ = ["Group", "Pool", "PoolFull"]


class PoolFull(Full):
    """No place was free in the pool, or none in time."""


class Group:
    """Tasks that are waited for, or killed, together; who ends leaves it.

    greenlets: an iterable of tasks to begin with. A group without members is false.

    Switches: never. Threads: any.

    >>> from weft.pool import Group
    >>> group = Group()
    >>> tasks = [group.spawn(pow, 2, n) for n in range(3)]
    >>> group.join()
    True
    >>> [task.value for task in tasks], len(group)
    ([1, 2, 4], 0)
    """

    #: What spawn() makes.
    greenlet_class: Callable[..., Task] = Task

    def __init__(self, greenlets: Iterable[Task] = ()) -> None:
        self.greenlets: set[Task] = set()
        self._dying: set[Task] = set()  # kill() need not tell them again
        self._empty = _core.Event()
        self._empty.set()
        for greenlet in greenlets:
            self._admit(greenlet)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {self.greenlets!r}>"

    def __len__(self) -> int:
        return len(self.greenlets)

    def __contains__(self, item: object) -> bool:
        return item in self.greenlets

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self.greenlets))

    # ---- members ----

    def _admit(self, greenlet: Task) -> None:
        if isinstance(greenlet, Task):  # a bare fiber tells nobody of its end: see discard()
            greenlet.rawlink(self._leave)
        self.greenlets.add(greenlet)
        self._empty.clear()

    def _leave(self, greenlet: Task) -> None:
        """Called once when a member has ended, or by discard."""
        if greenlet not in self.greenlets:
            return
        self.greenlets.discard(greenlet)
        self._dying.discard(greenlet)
        if not self.greenlets:
            self._empty.set()

    def add(self, greenlet: Task) -> None:
        """Take in a task, which another may have started; no effect if it is a member.

        Switches: never. Threads: any.
        """
        if greenlet not in self.greenlets:
            self._admit(greenlet)

    def discard(self, greenlet: Task) -> None:
        """Let go of a task, which goes on; no error if it is no member.

        Switches: never. Threads: any.
        """
        if isinstance(greenlet, Task):
            greenlet.unlink(self._leave)
        self._leave(greenlet)

    def start(self, greenlet: Task) -> None:
        """Take in a task that has not started, and start it.

        Switches: as add() does. Threads: owner.
        """
        self.add(greenlet)
        greenlet.start()

    def spawn(self, *args: Any, **kwargs: Any) -> Task:
        """Start fn(*args, **kwargs) as a member: spawn(fn, *args, **kwargs); returns the task.

        Switches: as add() does. Threads: owner.
        """
        greenlet = self.greenlet_class(*args, **kwargs)
        self.start(greenlet)
        return greenlet

    def full(self) -> bool:
        """Whether adding would wait: never, for a group.

        Switches: never. Threads: any.
        """
        return False

    def wait_available(self, timeout: float | None = None) -> int:
        """Wait until a member can be added; how many: 1, for a group, which has no limit.

        Switches: if it must wait. Threads: any.
        """
        return 1

    # ---- waiting and killing ----

    def join(self, timeout: float | None = None, raise_error: bool = False) -> bool:
        """Wait until there is no member: True, or False after `timeout` seconds.

        raise_error: then raise the exception of one of those that are members now, if any failed.

        Switches: if it must wait. Threads: any.
        """
        members = list(self.greenlets) if raise_error else []
        is_empty = self._empty.wait(timeout)
        for greenlet in members:
            if greenlet.ready() and not greenlet.successful():
                greenlet.get()
        return is_empty

    def kill(
        self, exception: Any = GreenletExit, block: bool = True, timeout: float | None = None
    ) -> None:
        """Kill every member, and those that are added while we wait.

        block: False does not wait for their end. timeout: seconds to wait at most; no error then.

        Switches: if it must wait. Threads: any.
        """
        limit = Timeout.start_new(timeout)
        try:
            while self.greenlets:
                for greenlet in list(self.greenlets):
                    self._kill_once(greenlet, exception)
                if not block:
                    break
                joinall([member for member in self.greenlets if isinstance(member, Task)])
                _core.sleep(0)  # the links of those that ended run in the hub
        except Timeout as struck:
            if struck is not limit:
                raise
        finally:
            limit.cancel()

    def killone(
        self,
        greenlet: Task,
        exception: Any = GreenletExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Kill one member; nothing happens to a task that is none. The rest as kill().

        Switches: if it must wait. Threads: any.
        """
        if greenlet in self.greenlets:
            self._kill_once(greenlet, exception)
            if block:
                greenlet.join(timeout)

    def _kill_once(self, greenlet: Any, exception: Any) -> None:
        if greenlet in self._dying:
            return
        if isinstance(greenlet, Task):
            self._dying.add(greenlet)
            kill(greenlet, exception)
        else:
            kill(greenlet, exception)
            self.discard(greenlet)  # its end is not told

    # ---- calling functions ----

    def _is_own_worker(self) -> bool:
        """Is the caller a member? It must not wait for another to be given its place."""
        return getcurrent() in self.greenlets

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwds: dict[str, Any] | None = None,
    ) -> Any:
        """Call func(*args, **kwds) in a member and return what it returns, or raise.

        In one of the members it is called at once: to wait there for a place could be for ever.

        Switches: always, but in a member. Threads: owner.
        """
        args, kwds = tuple(args or ()), kwds or {}
        if self._is_own_worker():
            return func(*args, **kwds)
        return self.spawn(func, *args, **kwds).get()

    def apply_cb(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwds: dict[str, Any] | None = None,
        callback: Callable[[Any], Any] | None = None,
    ) -> Any:
        """apply(), and then callback(result) in a new task; returns the result.

        Switches: always, but in a member. Threads: owner.
        """
        result = self.apply(func, args, kwds)
        if callback is not None:
            Task.spawn(callback, result)
        return result

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwds: dict[str, Any] | None = None,
        callback: Callable[[Any], Any] | None = None,
    ) -> Task:
        """Start apply() and return its task; callback(result) is called if it does not raise.

        If there is no place, a task that is no member waits for one.

        Switches: never. Threads: owner.
        """
        args, kwds = tuple(args or ()), kwds or {}
        if self.full():
            return Task.spawn(self.apply_cb, func, args, kwds, callback)
        greenlet = self.spawn(func, *args, **kwds)
        if callback is not None:
            greenlet.link_value(_PassValue(callback))
        return greenlet

    def map(self, func: Callable[..., Any], iterable: Iterable[Any]) -> list[Any]:
        """[func(item) for item in iterable], each call in a member.

        Switches: if there are items. Threads: owner. Raises what the first failing call raises.
        """
        return list(self.imap(func, iterable))

    def map_cb(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        callback: Callable[[list[Any]], Any] | None = None,
    ) -> list[Any]:
        """map(), and then callback(results); returns the results.

        Switches: if there are items. Threads: owner.
        """
        results = self.map(func, iterable)
        if callback is not None:
            callback(results)
        return results

    def map_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        callback: Callable[[list[Any]], Any] | None = None,
    ) -> Task:
        """Start map() in a task that is no member, and return it.

        Switches: never. Threads: owner.
        """
        return Task.spawn(self.map_cb, func, iterable, callback)

    def imap(
        self, func: Callable[..., Any], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> Iterator[Any]:
        """Iterate over the results of map(func, *iterables), the calls in members, in order.

        maxsize: at most so many calls are started whose results were not taken; None: any number.
        A call that raised raises at its turn, and the iteration may go on.

        Switches: in next(), if it must wait. Threads: owner.

        >>> from weft.pool import Pool
        >>> list(Pool(2).imap(pow, [2, 3], [3, 2]))
        [8, 9]
        """
        return _OrderedResults(self, func, zip(*iterables, strict=False), maxsize)

    def imap_unordered(
        self, func: Callable[..., Any], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> Iterator[Any]:
        """imap(), the results in the order in which they come.

        Switches: in next(), if it must wait. Threads: owner.
        """
        return _UnorderedResults(self, func, zip(*iterables, strict=False), maxsize)


class Pool(Group):
    """A group of at most `size` members: who adds another waits for one to leave.

    size: None for any number; 0 has place for nobody. greenlet_class: what spawn() makes.

    Switches: never. Threads: any. Raises ValueError for a negative size.

    >>> from weft.pool import Pool
    >>> Pool(10).map(abs, [-1, -2])
    [1, 2]
    """

    def __init__(
        self, size: int | None = None, greenlet_class: Callable[..., Task] | None = None
    ) -> None:
        if size is not None and size < 0:
            raise ValueError(f"cannot make a pool of {size!r}: size must not be negative")
        super().__init__()
        self.size = size
        if greenlet_class is not None:
            self.greenlet_class = greenlet_class
        self._places: Any = DummySemaphore() if size is None else Semaphore(size)

    def add(self, greenlet: Task, blocking: bool = True, timeout: float | None = None) -> None:
        """Take in a task; wait for a place if the pool is full.

        blocking: False raises PoolFull instead. timeout: seconds to wait at most; then PoolFull.

        Switches: if it must wait. Threads: any.
        """
        if greenlet in self.greenlets:
            return
        if not self._places.acquire(blocking=blocking, timeout=timeout):
            raise PoolFull(
                f"cannot add to a pool of {self.size}: all places are taken. Wait for one with "
                "wait_available(), or make the pool larger."
            )
        if greenlet in self.greenlets:  # added by another while we waited
            self._places.release()
        else:
            self._admit(greenlet)

    def _leave(self, greenlet: Task) -> None:
        is_member = greenlet in self.greenlets
        super()._leave(greenlet)
        if is_member:
            self._places.release()

    def start(self, greenlet: Task, blocking: bool = True, timeout: float | None = None) -> None:
        """Take in a task that has not started, as add() does, and start it.

        Switches: if it must wait. Threads: owner.
        """
        self.add(greenlet, blocking, timeout)
        greenlet.start()

    def full(self) -> bool:
        """Whether all places are taken.

        Switches: never. Threads: any.
        """
        return self.free_count() <= 0

    def free_count(self) -> int:
        """How many places are free; 1 where there is no limit.

        Switches: never. Threads: any.
        """
        return 1 if self.size is None else int(self._places.counter)

    def wait_available(self, timeout: float | None = None) -> int:
        """Wait until a place is free, at most `timeout` seconds; how many are.

        Switches: if it must wait. Threads: any.
        """
        return 1 if self.size is None else int(self._places.wait(timeout))


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


class _OrderedResults:
    """What imap() returns. A task starts the calls, and queues each as it is started.

    The task that is waited for stays in `_head`, so that a next() that is killed loses nothing.
    """

    def __init__(
        self,
        group: Group,
        func: Callable[..., Any],
        arguments: Iterator[tuple[Any, ...]],
        maxsize: int | None,
    ) -> None:
        self._room: Any = DummySemaphore() if maxsize is None else Semaphore(maxsize)
        self._queue = Queue()
        self._turn = Semaphore(1)  # of who calls next()
        self._head: Any = None
        self._feeder = Task.spawn(self._feed, group, func, arguments)

    def _feed(
        self, group: Group, func: Callable[..., Any], arguments: Iterator[tuple[Any, ...]]
    ) -> None:
        end = _End()
        try:
            while True:
                self._room.acquire()
                try:
                    given = next(arguments)
                except StopIteration:
                    break
                self._note(group.spawn(func, *given))
        except BaseException as error:  # of the iterable: raised by next(), where it was asked for
            end = _End(error)
        self._queue.put(end)

    def _note(self, greenlet: Task) -> None:
        self._queue.put(greenlet)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with self._turn:
            if self._head is None:
                self._head = self._queue.get()
            if isinstance(self._head, _End):
                return self._finish(self._head)
            self._head.join()
            done, self._head = self._head, None
        self._room.release()
        return done.get()

    def _finish(self, end: _End) -> Any:
        error, end.error = end.error, None
        if error is not None:
            raise error
        raise StopIteration


class _UnorderedResults(_OrderedResults):
    """What imap_unordered() returns: each task is queued when it has ended."""

    _unread_count = 0  # calls that were started and whose results were not taken

    def _note(self, greenlet: Task) -> None:
        self._unread_count += 1
        greenlet.rawlink(self._queue.put)

    def __next__(self) -> Any:
        with self._turn:
            while self._head is None or self._unread_count > 0:
                done = self._queue.get()
                if not isinstance(done, _End):
                    self._unread_count -= 1
                    break
                self._head = done
            else:
                return self._finish(self._head)
        self._room.release()
        return done.get()
