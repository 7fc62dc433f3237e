"""Queues that hand items from fibers to fibers.

The queues are native (csrc: queue_type.c). Empty and Full are the standard library's, so that
``except queue.Empty`` catches both, and so is ShutDown where the standard library has it.
"""

from __future__ import annotations

import queue as _stdlib
from collections.abc import Iterable, Iterator, Sequence
from queue import Empty, Full
from typing import Any

from fibril import _core
from fibril._core import Channel, LifoQueue, PriorityQueue, Queue, SimpleQueue
from fibril._typing import T

__all__ = [
    "Channel",
    "Empty",
    "Full",
    "JoinableQueue",
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "ShutDown",
    "SimpleQueue",
    "UnboundQueue",
]

#: gevent's older name: its Queue has task_done() and join() too.
JoinableQueue = Queue

if hasattr(_stdlib, "ShutDown"):  # since 3.13
    ShutDown: type[Exception] = _stdlib.ShutDown
else:

    class ShutDown(Exception):
        """The queue was shut down: put() is refused, and so is get() once it is empty."""


class UnboundQueue(Queue[T]):
    """A Queue without a limit, whatever `maxsize` says: only None is taken.

    Switches: never. Threads: any. Raises ValueError for a size.

    >>> from fibril.queue import UnboundQueue
    >>> UnboundQueue().maxsize is None
    True
    """

    def __init__(self, maxsize: None = None, items: Iterable[T] = ()) -> None:
        if maxsize is not None:
            raise ValueError(
                f"cannot limit an UnboundQueue to {maxsize!r} items: use a Queue, or None."
            )
        super().__init__(None, items)


class _Items(Sequence[Any]):
    """A queue's attribute `queue`: the items as they are now, the first that was put first."""

    def __init__(self, queue: SimpleQueue) -> None:
        self._queue = queue

    def __len__(self) -> int:
        return len(self._queue._snapshot())

    def __getitem__(self, index: Any) -> Any:
        return self._queue._snapshot()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._queue._snapshot())

    def __repr__(self) -> str:
        return repr(self._queue._snapshot())

    def clear(self) -> None:
        """Drop the items; who waits to put takes the room."""
        self._queue._empty_ring()


_core.set_queue_classes(Empty, Full, ShutDown, _Items)
