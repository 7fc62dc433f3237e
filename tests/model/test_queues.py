"""Queues against their models; and by the trace alone: nothing is lost, and nothing comes twice.

A kind of queue is one line of KINDS: what makes it, what its model is, and what it can do.
"""

import math
from collections.abc import Callable
from queue import Empty, Full
from typing import Any, NamedTuple

import pytest
from hypothesis import strategies as st

from fibril import queue as ours
from fibril.queue import ShutDown
from tests.model.machine import TIMEOUTS, Machine, Operation, Trace, compare, operation, outcomes
from tests.model.queue_models import (
    Channel,
    HookedQueue,
    Joinable,
    LifoQueue,
    PriorityQueue,
    Queue,
)
from tests.model.world import Body, World


class Kind(NamedTuple):
    make: Callable[[int], Any]
    model: Callable[[World, float], Joinable]
    may_peek: bool = True
    is_joinable: bool = True
    sizes: tuple[int, ...] = (0, 2)


class Hooked(ours.Queue):
    """A subclass as people write them for the standard library: it is the slow way of fibril's."""

    def _get(self) -> Any:
        return super()._get()


KINDS = {
    "Queue": Kind(ours.Queue, Queue, sizes=(0, 1, 3)),
    "LifoQueue": Kind(ours.LifoQueue, LifoQueue),
    "PriorityQueue": Kind(ours.PriorityQueue, PriorityQueue),
    "subclass": Kind(Hooked, HookedQueue, sizes=(1,)),
    "SimpleQueue": Kind(ours.SimpleQueue, Queue, is_joinable=False, sizes=(2,)),
    "Channel": Kind(lambda _: ours.Channel(), Channel, False, False, sizes=(0,)),
}


class Counted:
    """Each item that is put is a new one: a rank, by which queues may sort, and its number."""

    def __init__(self, kind: Kind, queue: Any) -> None:
        self.kind, self.queue = kind, queue
        self.count = 0
        for name in ("get", "peek", "task_done", "join", "shutdown"):
            setattr(self, name, getattr(queue, name, None))

    def new(self, rank: int) -> tuple[int, int]:
        self.count += 1
        return (rank if self.kind.make is ours.PriorityQueue else 0), self.count

    def state(self) -> Any:
        queue = self.queue
        counts = queue.qsize(), queue.empty(), queue.full()
        return (*counts, queue.unfinished_tasks) if self.kind.is_joinable else counts


class FibrilQueue(Counted):
    def __init__(self, kind: Kind, queue: Any) -> None:
        super().__init__(kind, queue)
        self.accepted: set[Any] = set()
        self.refused: set[Any] = set()

    def put(self, rank: int, block: bool, timeout: float | None) -> None:
        item = self.new(rank)
        try:
            self.queue.put(item, block, timeout)
            self.accepted.add(item)
        except (Full, ShutDown):
            self.refused.add(item)
            raise

    def resize(self, size: int) -> None:
        self.queue.maxsize = size

    def check(self, trace: Trace) -> None:
        """Who was killed may have put his item before; nobody else's fate is in doubt."""
        came = [item for _, item in outcomes(trace, "get") if isinstance(item, tuple)]
        try:
            while True:
                came.append(self.queue.get_nowait())
        except (Empty, ShutDown):
            pass
        dropped = [done for done, _ in outcomes(trace, "shutdown") if done == ("shutdown", True)]
        assert len(came) == len(set(came))
        assert dropped or self.accepted <= set(came)
        assert not self.refused & set(came)


class ModelQueue(Counted):
    def put(self, rank: int, block: bool, timeout: float | None) -> Body:
        yield from self.queue.put(self.new(rank), block, timeout)

    def resize(self, size: int) -> None:
        self.queue.resize(size)


RANKS = st.integers(0, 2)
PUT, GET = operation("put", RANKS, True, TIMEOUTS), operation("get", True, TIMEOUTS)


def operations(kind: Kind) -> st.SearchStrategy[Operation]:
    found = [*[PUT, GET] * 3]
    if kind.may_peek:
        found.append(operation("peek", True, TIMEOUTS))
    if kind.is_joinable:
        found += [operation("join", TIMEOUTS), operation("task_done")]
    return st.one_of(*found)


def instant(kind: Kind) -> st.SearchStrategy[Operation]:
    found = [*[operation("put", RANKS, False, None)] * 6, *[operation("get", False)] * 4]
    if kind.may_peek:
        found += [operation("peek", False), operation("resize", st.integers(1, 3))]
    if kind.is_joinable:
        found += [operation("task_done"), operation("shutdown", st.booleans())]
    return st.one_of(*found)


def machine(kind: Kind, size: int) -> Machine:
    return Machine(
        fibril=lambda side: FibrilQueue(kind, kind.make(size)),
        model=lambda side: ModelQueue(kind, kind.model(side.world, size or math.inf)),
        operations=operations(kind),
        instant=instant(kind),
        state=lambda subject: subject.state(),
        check=FibrilQueue.check,
    )


@pytest.mark.parametrize(
    ("name", "size"), [(name, size) for name, kind in KINDS.items() for size in kind.sizes]
)
def test_a_queue_does_what_the_model_does(name: str, size: int) -> None:
    compare(machine(KINDS[name], size))
