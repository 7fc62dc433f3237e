"""eventlet.queue, served by fibril: queues whose size may change, and may be 0.

The idea: whoever cannot go on leaves a seat in a line, and each step that changes anything serves
the lines: an item for who waits to get, room for who waits to put. A queue of size 0 has room only
while somebody waits to get: put() returns when its item was taken.

Invariants: nobody sits in a line who could be served. An item that was handed to a greenthread that
was killed before it ran goes to the next one.
Threads: owner, as eventlet's. Queues for several native threads are fibril.queue's.
"""

from __future__ import annotations

import collections
import heapq
from queue import Empty, Full
from typing import Any

import fibril
from fibril import _core
from fibril.timeout import Deadline

__all__ = ["Empty", "Full", "LifoQueue", "LightQueue", "PriorityQueue", "Queue"]


class _Seat:
    """A greenthread in a line, with the item that it brings, or will have got."""

    __slots__ = ("item", "served")

    def __init__(self, item: Any = None) -> None:
        self.item = item
        self.served = _core.Event()


class LightQueue:
    """Items that are put by some and got by others, first in, first out.

    maxsize: how many at most; None, or less than 0: any; 0: put() waits for who gets it.

    Switches: if it must wait. Threads: owner.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> import eventlet
    >>> channel = eventlet.queue.LightQueue(0)
    >>> thread = eventlet.spawn(channel.put, "item")
    >>> channel.get()
    'item'
    """

    def __init__(self, maxsize: int | None = None) -> None:
        self.maxsize: int | None = None
        self._getters: collections.deque[_Seat] = collections.deque()
        self._putters: collections.deque[_Seat] = collections.deque()
        self._set_maxsize(maxsize)
        self._init(maxsize)

    def _set_maxsize(self, size: int | None) -> None:
        self.maxsize = None if size is None or size < 0 else size

    # ---- for other orders ----

    def _init(self, maxsize: int | None) -> None:
        self.queue: Any = collections.deque()

    def _get(self) -> Any:
        return self.queue.popleft()

    def _put(self, item: Any) -> None:
        self.queue.append(item)

    def _put_back(self, item: Any) -> None:
        self.queue.appendleft(item)

    # ---- how many ----

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {self._format()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self._format()}>"

    def _format(self) -> str:
        text = f"maxsize={self.maxsize!r}"
        if self.queue:
            text += f" queue={list(self.queue)!r}"
        if self._getters:
            text += f" getters[{len(self._getters)}]"
        if self._putters:
            text += f" putters[{len(self._putters)}]"
        return text

    def __bool__(self) -> bool:
        return True

    def qsize(self) -> int:
        """How many items there are."""
        return len(self.queue)

    def putting(self) -> int:
        """How many wait to put."""
        return len(self._putters)

    def getting(self) -> int:
        """How many wait to get."""
        return len(self._getters)

    def empty(self) -> bool:
        """Whether there is no item."""
        return not self.qsize()

    def full(self) -> bool:
        """Whether there is no room."""
        return self.maxsize is not None and self.qsize() >= self.maxsize

    def resize(self, size: int | None) -> None:
        """Another maxsize; items that are too many stay."""
        self._set_maxsize(size)
        self._serve()

    # ---- the lines ----

    def _serve(self) -> None:
        while True:
            if self.queue and self._getters:
                seat = self._getters.popleft()
                seat.item = self._get()
            elif self._putters and (self._getters or not self.full()):
                seat = self._putters.popleft()
                self._put(seat.item)
            else:
                return
            seat.served.set()

    def _wait(self, line: collections.deque[_Seat], seat: _Seat, timeout: float | None) -> bool:
        """Sit in a line until served: True; False: not in time."""
        line.append(seat)
        self._serve()
        try:
            return seat.served.wait(timeout) or not self._leave(line, seat)
        except BaseException:
            if not self._leave(line, seat) and line is self._getters:
                self._put_back(seat.item)
                self._serve()
            raise

    @staticmethod
    def _leave(line: collections.deque[_Seat], seat: _Seat) -> bool:
        """Whether the seat was still in the line."""
        try:
            line.remove(seat)
        except ValueError:
            return False
        return True

    # ---- items ----

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item; wait for room, at most `timeout` seconds, if need be.

        Raises Full if there is none, and block is false or the time is over.
        """
        if not self.full() or (self._getters and not block):
            self._put(item)
            self._serve()
        elif not block:
            raise Full
        elif self._getters:
            self._put(item)
            self._serve()
            fibril.sleep(0)  # who gets it runs first: a channel's put returns when it is taken
        elif not self._wait(self._putters, _Seat(item), timeout):
            raise Full

    def put_nowait(self, item: Any) -> None:
        """put(), but never wait."""
        self.put(item, False)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take an item; wait for one, at most `timeout` seconds, if need be.

        Raises Empty if there is none, and block is false or the time is over.
        """
        if self.queue:
            item = self._get()
            self._serve()
            return item
        if self._putters:  # of a channel
            seat = self._putters.popleft()
            self._put(seat.item)
            seat.served.set()
            return self._get()
        seat = _Seat()
        if not block or not self._wait(self._getters, seat, timeout):
            raise Empty
        return seat.item

    def get_nowait(self) -> Any:
        """get(), but never wait."""
        return self.get(False)

    def __iter__(self) -> LightQueue:
        return self

    def __next__(self) -> Any:
        item = self.get()
        if item is StopIteration:
            raise item
        return item

    next = __next__


class Queue(LightQueue):
    """A LightQueue that knows how many of its items are not done with.

    Switches: if it must wait. Threads: owner.
    """

    def __init__(self, maxsize: int | None = None) -> None:
        self.unfinished_tasks = 0
        self._all_done = _core.Event()
        self._all_done.set()
        super().__init__(maxsize)

    def _format(self) -> str:
        text = super()._format()
        return f"{text} tasks={self.unfinished_tasks}" if self.unfinished_tasks else text

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """As LightQueue.put(); one more that task_done() has to be called for."""
        self.unfinished_tasks += 1
        self._all_done.clear()
        try:
            super().put(item, block, timeout)
        except BaseException:
            self._one_less()
            raise

    def task_done(self) -> None:
        """One item is done with. Raises ValueError if there were not so many."""
        if self.unfinished_tasks <= 0:
            raise ValueError("cannot have done more tasks than were put: task_done() once for each")
        self._one_less()

    def _one_less(self) -> None:
        self.unfinished_tasks -= 1
        if not self.unfinished_tasks:
            self._all_done.set()

    def join(self) -> None:
        """Wait until every item is done with."""
        Deadline(None).wait_until(lambda: not self.unfinished_tasks, self._all_done)


class PriorityQueue(Queue):
    """The smallest item comes first."""

    def _init(self, maxsize: int | None) -> None:
        self.queue: list[Any] = []

    def _put(self, item: Any) -> None:
        heapq.heappush(self.queue, item)

    def _get(self) -> Any:
        return heapq.heappop(self.queue)

    _put_back = _put


class LifoQueue(Queue):
    """The item that was put last comes first."""

    def _init(self, maxsize: int | None) -> None:
        self.queue: list[Any] = []

    def _put(self, item: Any) -> None:
        self.queue.append(item)

    def _get(self) -> Any:
        return self.queue.pop()

    _put_back = _put
