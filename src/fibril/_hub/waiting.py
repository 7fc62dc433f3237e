"""Waiting for several things, whichever is ready first, or for everything: wait and iwait.

The idea: whatever can be waited for (tasks, events, semaphores, results) has rawlink(callback), and
calls it in the hub, once, when it is ready. So waiting for many is one link each, a list of those
that told, and one event.

Invariant: when the wait is over, however it ends, none of the objects has a link of ours.
Do not add: knowledge of any one kind of object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

from fibril import _core
from fibril.timeout import Deadline

__all__ = ["collect", "iwait", "listed", "wait"]

_T = TypeVar("_T")


def listed(objects: Iterable[_T], caller: str) -> list[_T]:
    """Several objects that can be waited for, as a list.

    Switches: never. Threads: any. Raises TypeError in words for one alone, or for something else.
    """
    try:
        items = list(objects)
    except TypeError:
        raise TypeError(
            f"cannot wait for {objects!r}: {caller} takes several. Give a list: {caller}([task])."
        ) from None
    for item in items:
        if not hasattr(item, "rawlink"):
            raise TypeError(
                f"cannot wait for {item!r}: tasks, events, results and semaphores tell of "
                "themselves, by rawlink(). A function is started first: spawn(fn)."
            )
    return items


def _link_to(told: list[Any], news: _core.Event) -> Callable[[Any], None]:
    # A function of these two and no method: that saves 7 us of 50 for 100 tasks (3.11), and what
    # keeps the link does not keep the whole wait.
    def link(item: Any) -> None:
        told.append(item)
        news.set()  # last: who is woken by it looks at the list

    return link


class _Ready(Generic[_T]):
    """What iwait() returns. Each object tells by a link, which the hub calls."""

    def __init__(self, objects: list[Any], timeout: float | None, count: int | None) -> None:
        self._left = len(objects) if count is None else min(count, len(objects))  # to be given
        self._deadline = Deadline(timeout)
        self._told: list[_T] = []  # who has told, in that order
        self._given = 0  # how many of those were given
        self._news = _core.Event()
        self._link = link = _link_to(self._told, self._news)
        self._linked = objects
        try:
            for place, item in enumerate(objects):  # noqa: B007  # where one refuses
                item.rawlink(link)
        except BaseException:
            self._linked = objects[:place]
            self._unlink()
            raise

    def _unlink(self) -> None:
        linked, self._linked, self._left = self._linked, [], 0
        link = self._link
        for item in linked:
            item.unlink(link)

    def _wait(self) -> bool:
        """For one that has told and was not given; False if no more are wanted, or in time."""
        if self._left <= 0 or self._has_news():  # most need not wait, and wait_until() costs 90 ns
            return self._left > 0
        if not self._deadline.wait_until(self._has_news, self._news):
            self._left = 0
        return self._left > 0

    def _has_news(self) -> bool:
        return len(self._told) > self._given

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _T:
        if not self._wait():
            self._unlink()
            raise StopIteration
        item = self._told[self._given]
        self._given += 1
        self._left -= 1
        return item

    def rest(self, is_enough: Callable[[list[_T]], bool] | None) -> list[_T]:
        """All that are still to come; given at once, because next() costs 100 ns for each."""
        begin = self._given
        while self._wait():
            some = self._told[self._given : self._given + self._left]
            self._given += len(some)
            self._left -= len(some)
            if is_enough is not None and is_enough(some):
                break
        return self._told[begin : self._given]

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
    return collect(listed(objects, "wait"), timeout, count)


def collect(
    objects: list[_T],
    timeout: float | None,
    count: int | None,
    is_enough: Callable[[list[_T]], bool] | None = None,
) -> list[_T]:
    """wait() for a list; is_enough([item, …]) is called as soon as some are ready, and may end it.

    Switches: if it must wait. Threads: any.
    """
    ready: _Ready[_T] = _Ready(objects, timeout, count)
    with ready:
        return ready.rest(is_enough)


def _join_hub(timeout: float | None) -> bool:
    hub: Any = _core.get_hub()  # of whatever class; all have it from LoopHub
    return bool(hub.join(timeout=timeout))
