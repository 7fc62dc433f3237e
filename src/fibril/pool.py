"""Groups of tasks, and pools: groups that never run more than so many at once.

The idea: a group is a set. A task is added before it starts, and a link takes it out when it has
ended, so whoever is in the set is alive, and waiting for the group is waiting for the set to be
empty. A pool has besides a semaphore: adding takes a permit, leaving gives it back.

Invariants: a permit is out for each member of a pool, no more and no fewer, whatever is killed
meanwhile. The link runs in the hub, so it never waits.
Do not add: results kept for tasks that have left. Who wants a result keeps the task.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar, overload
from weakref import WeakSet

from fibril import _core
from fibril._core import Task, getcurrent
from fibril.dispatch.mapping import GroupMappingMixin, IMap, IMapUnordered
from fibril.errors import GreenletExit
from fibril.lock import DummySemaphore, Semaphore
from fibril.queue import Full
from fibril.task import joinall, kill
from fibril.timeout import Timeout

__all__ = ["Group", "GroupMappingMixin", "IMap", "IMapUnordered", "Pool", "PoolFull"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class PoolFull(Full):
    """No place was free in the pool, or none in time."""


class Group(GroupMappingMixin):
    """Tasks that are waited for, or killed, together; who ends leaves it.

    greenlets: an iterable of tasks to begin with. A group without members is false.

    Switches: never. Threads: any.

    >>> from fibril.pool import Group
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
        _all.add(self)
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
        self._tell_whether_empty()

    def _leave(self, greenlet: Task) -> bool:
        """Called when a member has ended, and by discard. Was it one still?

        Both may come at once, in two native threads. Asked and taken out in one step, so that one
        of them is told yes, and gives back the place that it has in a pool.
        """
        try:
            self.greenlets.remove(greenlet)
        except KeyError:
            return False
        self._dying.discard(greenlet)
        self._tell_whether_empty()
        return True

    def _tell_whether_empty(self) -> None:
        # Another native thread may add or take out a member between our question and what we tell.
        # It tells before we do, and then we tell what is not true any more: so it is asked again.
        told = None
        while told is not (is_empty := not self.greenlets):
            if is_empty:
                self._empty.set()
            else:
                self._empty.clear()
            told = is_empty

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

    @overload
    def spawn(
        self, fn: Callable[..., _R], /, *args: Any, stack_size: int | None, **kwargs: Any
    ) -> Task[_R]: ...

    @overload
    def spawn(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Task[_R]: ...

    def spawn(self, *args: Any, **kwargs: Any) -> Task:  # type: ignore[misc]  # as the class likes
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
        failed = [each for each in members if each.ready() and not each.successful()]
        members.clear()  # the exception will have this frame: no cycle
        del failed[1:]  # all were looked at: see fibril.testing.unseen
        if failed:
            failed.pop().get()
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
            del limit  # if it struck, it has this frame: no cycle

    def killone(
        self,
        greenlet: Task,
        exception: Any = GreenletExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Kill one member; nothing happens to a task that is none, or was told before. The rest as
        kill().

        Switches: if it must wait. Threads: any.
        """
        if greenlet in self.greenlets and greenlet not in self._dying:
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

    def _is_own_worker(self) -> bool:
        """Is the caller a member? It must not wait for another to be given its place."""
        return getcurrent() in self.greenlets


class Pool(Group):
    """A group of at most `size` members: who adds another waits for one to leave.

    size: None for any number; 0 has place for nobody. greenlet_class: what spawn() makes.

    Switches: never. Threads: any. Raises ValueError for a negative size.

    >>> from fibril.pool import Pool
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
        # gevent's name: celery takes and gives places by it, and changes `size` as well.
        self._semaphore: Any = DummySemaphore() if size is None else Semaphore(size)

    def add(self, greenlet: Task, blocking: bool = True, timeout: float | None = None) -> None:
        """Take in a task; wait for a place if the pool is full.

        blocking: False raises PoolFull instead. timeout: seconds to wait at most; then PoolFull.

        Switches: if it must wait. Threads: any.
        """
        if greenlet in self.greenlets:
            return
        if not self._semaphore.acquire(blocking=blocking, timeout=timeout):
            raise PoolFull(
                f"cannot add to a pool of {self.size}: all places are taken. Wait for one with "
                "wait_available(), or make the pool larger."
            )
        if greenlet in self.greenlets:  # added by another while we waited
            self._semaphore.release()
        else:
            self._admit(greenlet)

    def _leave(self, greenlet: Task) -> bool:
        was_member = super()._leave(greenlet)
        if was_member:
            self._semaphore.release()
        return was_member

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
        return 1 if self.size is None else int(self._semaphore.counter)

    def wait_available(self, timeout: float | None = None) -> int:
        """Wait until a place is free, at most `timeout` seconds; how many are.

        Switches: if it must wait. Threads: any.
        """
        return 1 if self.size is None else int(self._semaphore.wait(timeout))


# ---- fork ----

_all: WeakSet[Group] = WeakSet()


def _discard_lost() -> None:
    """In the child of a fork: members that stayed in the parent have no end that could be told."""
    for group in list(_all):
        for member in group:
            if member.dead:
                group.discard(member)


os.register_at_fork(after_in_child=_discard_lost)
