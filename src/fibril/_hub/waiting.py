"""Waiting for several things, whichever is ready first, or for everything: wait and iwait.

The idea: whatever can be waited for (tasks, events, semaphores, results) has rawlink(callback), and
calls it in the hub, once, when it is ready. So waiting for many is one link each, a queue of those
that told, and one event.

Invariant: when the wait is over, however it ends, none of the objects has a link of ours.
Do not add: knowledge of any one kind of object.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

from fibril import _core
from fibril._listed import listed
from fibril.timeout import Deadline

__all__ = ["iwait", "wait"]

_T = TypeVar("_T")


class _Ready(Generic[_T]):
    """What iwait() returns. Each object tells by a link, which the hub calls."""

    def __init__(self, objects: list[Any], timeout: float | None, count: int | None) -> None:
        self._left = len(objects) if count is None else min(count, len(objects))
        self._deadline = Deadline(timeout)
        self._ready: deque[_T] = deque()
        self._news = _core.Event()
        self._linked: list[Any] = []
        try:
            for item in objects:
                item.rawlink(self._note)
                self._linked.append(item)
        except BaseException:
            self._unlink()
            raise

    def _note(self, item: _T) -> None:
        self._ready.append(item)
        self._news.set()

    def _unlink(self) -> None:
        linked, self._linked, self._left = self._linked, [], 0
        for item in linked:
            item.unlink(self._note)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _T:
        while self._left > 0:
            if self._ready:
                self._left -= 1
                return self._ready.popleft()
            self._news.clear()
            if not self._news.wait(self._deadline.remaining_s()):
                break
        self._unlink()
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._unlink()


@overload
def iwait(
    objects: Iterable[_T], timeout: float | None = None, count: int | None = None
) -> _Ready[_T]: ...


@overload
def iwait(
    objects: None, timeout: float | None = None, count: int | None = None
) -> Iterator[bool]: ...


def iwait(
    objects: Iterable[_T] | None, timeout: float | None = None, count: int | None = None
) -> _Ready[_T] | Iterator[bool]:
    """Iterate over tasks, events, semaphores and the like in the order in which they are ready.

    objects: whatever has rawlink() and unlink(). timeout: seconds to wait at most, from now; then
    the iteration ends. count: end after that many. Use ``with`` to let go of the rest at once.
    Without objects it waits as wait() does, at once, and gives that one answer.

    Switches: never; its next() does, if it must wait. Threads: any.

    >>> import fibril
    >>> slow, fast = fibril.spawn(fibril.sleep, 0.01), fibril.spawn(fibril.sleep)
    >>> with fibril.iwait([slow, fast]) as ready:
    ...     next(ready) is fast
    True
    """
    if objects is None:
        return iter([_join_hub(timeout)])
    return _Ready(listed(objects, "iwait"), timeout, count)


@overload
def wait(
    objects: Iterable[_T], timeout: float | None = None, count: int | None = None
) -> list[_T]: ...


@overload
def wait(objects: None = None, timeout: float | None = None, count: int | None = None) -> bool: ...


def wait(
    objects: Iterable[_T] | None = None, timeout: float | None = None, count: int | None = None
) -> list[_T] | bool:
    """Wait until all of the objects are ready; return those that are, in that order.

    The arguments are iwait()'s; when the time is over there are fewer, and no exception. Without
    objects: wait until nothing is left to happen, and return whether that moment has come; see
    Hub.join().

    Switches: if it must wait. Threads: any; the main fiber only, without objects.

    >>> import fibril
    >>> from fibril.event import Event
    >>> event = Event()
    >>> event.set()
    >>> fibril.wait([event, fibril.spawn(fibril.sleep, 10)], count=1) == [event]
    True
    """
    if objects is None:
        return _join_hub(timeout)
    ready: _Ready[_T] = _Ready(listed(objects, "wait"), timeout, count)
    with ready:
        return list(ready)


def _join_hub(timeout: float | None) -> bool:
    hub: Any = _core.get_hub()  # of whatever class; all have it from LoopHub
    return bool(hub.join(timeout=timeout))
