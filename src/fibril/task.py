"""Waiting for several tasks at once, and ending them.

Task itself is native (csrc: task_type.c). Joining tasks one after the other takes as
long as the slowest, so joinall needs no machinery; only where the first to end matters are
links used (fibril._hub.waiting).
"""

from __future__ import annotations

from _weakref import ref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ParamSpec, TypeVar

from fibril import _core
from fibril._core import Fiber, Task, getcurrent, sleep
from fibril._hub.waiting import collect, listed
from fibril.errors import GreenletExit
from fibril.timeout import Deadline, late

__all__ = [
    "FailureSpawnedLink",
    "SpawnedLink",
    "SuccessSpawnedLink",
    "joinall",
    "kill",
    "killall",
    "spawn_raw",
]

_P = ParamSpec("_P")
_Joined = TypeVar("_Joined", bound=Task)  # of one class, or of several


def joinall(
    greenlets: Iterable[_Joined],
    timeout: float | None = None,
    raise_error: bool = False,
    count: int | None = None,
) -> list[_Joined]:
    """Wait until all of the tasks have ended, and return those that have.

    timeout: seconds to wait at most, None for ever. raise_error: raise the first exception that a
    task ends with, as soon as it does; the others go on. count: wait for that many only.

    Switches: if it must wait. Threads: any.

    >>> import fibril
    >>> tasks = [fibril.spawn(pow, 2, n) for n in range(4)]
    >>> [task.value for task in fibril.joinall(tasks)]
    [1, 2, 4, 8]
    """
    tasks = listed(greenlets, "joinall")
    del greenlets  # what is raised will have this frame: no cycle
    if raise_error or count is not None or not all(isinstance(task, Task) for task in tasks):
        return _join_in_order_of_end(tasks, timeout, raise_error, count)
    deadline = Deadline(timeout)
    for task in tasks:
        task.join(deadline.remaining_s())
    return [task for task in tasks if task.ready()]


def _join_in_order_of_end(
    tasks: list[_Joined], timeout: float | None, raise_error: bool, count: int | None
) -> list[_Joined]:
    ended = collect(tasks, timeout, count, _has_failed if raise_error else None)
    failed = [task for task in ended if not task.successful()] if raise_error else []
    if failed:  # all were looked at: see fibril.testing.unseen
        # What is raised has the frames that hold these: no cycle.
        tasks.clear()
        ended.clear()
        del failed[1:]
        failed.pop().get()
    return ended


def _has_failed(ended: Iterable[Task]) -> bool:
    return any(not task.successful() for task in ended)


def kill(greenlet: Fiber, exception: Any = GreenletExit) -> None:
    """Raise an exception in a fiber or task when its hub next runs it; do not wait for that.

    Switches: never. Threads: any.
    """
    _check_fiber(greenlet)
    if isinstance(greenlet, Task):
        greenlet.kill(exception, block=False)
    elif not greenlet.dead:
        _core.throw_later(greenlet, exception)


def killall(
    greenlets: Iterable[Fiber],
    exception: Any = GreenletExit,
    block: bool = True,
    timeout: float | None = None,
) -> None:
    """Raise an exception in each of the fibers; wait until all have ended of it.

    block: False returns at once. timeout: seconds to wait at most; then Timeout is raised here. A
    bare fiber of the hub's (spawn_raw) is given one turn to end.

    Switches: if it must wait. Threads: any.
    """
    if isinstance(greenlets, Fiber):
        raise TypeError(f"cannot kill {greenlets!r}: killall takes several. Use its kill().")
    victims = list(greenlets)
    for victim in victims:
        _check_fiber(victim)
    for victim in victims:
        kill(victim, exception)
    if not block:
        return
    if any(_is_raw(victim) for victim in victims):
        sleep(0)  # it tells nobody of its end, but runs before we do
    deadline = Deadline(timeout)
    for victim in victims:
        if isinstance(victim, Task) and not _core.join_killed(victim, deadline.remaining_s()):
            raise late(timeout)


def _check_fiber(victim: object) -> None:
    if not isinstance(victim, Fiber):
        raise TypeError(f"cannot kill {victim!r}: it is no task, and no other fiber.")


def _is_raw(fiber: Fiber) -> bool:
    """Is it a bare fiber of the hub's, alive? Others end in whoever is their parent."""
    return not isinstance(fiber, Task) and not fiber.dead and isinstance(fiber.parent, _core.Hub)


def spawn_raw(function: Callable[_P, Any], *args: _P.args, **kwargs: _P.kwargs) -> Fiber:
    """Run function(*args, **kwargs) in a new fiber of the hub, which is no task; return the fiber.

    It cannot be joined, has no result and no links. For programs written for gevent: with fibril a
    task is cheaper.

    Switches: never. Threads: any. Raises TypeError if function cannot be called.

    >>> import fibril
    >>> fiber = fibril.spawn_raw(print, "hello")
    >>> fibril.sleep(0.001)
    hello
    """
    if not callable(function):
        raise TypeError(f"cannot run {function!r} in a fiber: it is not callable")
    hub = _core.get_hub()
    fiber = Fiber(function, hub)
    current = getcurrent()
    fiber.spawning_greenlet = ref(current)  # type: ignore[attr-defined]
    shared = getattr(current, "spawn_tree_locals", None)  # as tasks have it, for a tree of spawns
    fiber.spawn_tree_locals = {} if shared is None else shared  # type: ignore[attr-defined]
    hub.call_soon(partial(fiber.switch, *args, **kwargs))
    return fiber


class SpawnedLink:
    """A link that calls callback(source) in a fiber of its own, where it may wait; for rawlink().

    link(), link_value() and link_exception() do so by themselves. Equal to another link of the
    same callback, and to the callback.

    Switches: never. Threads: owner. Raises TypeError if callback cannot be called.

    >>> import fibril
    >>> from fibril.task import SpawnedLink
    >>> task = fibril.spawn(pow, 2, 3)
    >>> task.rawlink(SpawnedLink(lambda task: print(task.value)))
    >>> fibril.sleep(0.001)
    8
    """

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[Any], Any]) -> None:
        if not callable(callback):
            raise TypeError(f"cannot call {callback!r} when a task ends: it is not callable")
        self.callback = callback

    def __call__(self, source: Any) -> None:
        spawn_raw(self.callback, source)

    def __eq__(self, other: object) -> bool:
        return bool(self.callback == getattr(other, "callback", other))

    def __hash__(self) -> int:
        return hash(self.callback)

    def __repr__(self) -> str:
        return repr(self.callback)  # a report of what it raised names the program's function


class SuccessSpawnedLink(SpawnedLink):
    """The same, for sources that are successful.

    Switches: never. Threads: owner.
    """

    __slots__ = ()

    def __call__(self, source: Any) -> None:
        if source.successful():
            super().__call__(source)


class FailureSpawnedLink(SpawnedLink):
    """The same, for sources that have failed.

    Switches: never. Threads: owner.
    """

    __slots__ = ()

    def __call__(self, source: Any) -> None:
        if not source.successful():
            super().__call__(source)
