"""Group and Pool against the model; and by the trace alone: never more members than places."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fibril
from fibril.pool import Group, Pool
from tests.conftest import run_in_thread
from tests.model import models
from tests.model.machine import (
    NUMBERS,
    SECONDS,
    TIMEOUTS,
    Machine,
    Side,
    Trace,
    compare,
    operation,
    settled,
)
from tests.model.world import Body, Task


class FibrilMember(fibril.Task):
    """Members hash alike on both sides, so that sets of them have the same order."""

    index = 0

    def __hash__(self) -> int:
        return self.index


class ModelMember(Task):
    index = 0

    def __hash__(self) -> int:
        return self.index


class Members:
    def __init__(self, side: Side, pool: Any) -> None:
        self.side, self.pool = side, pool
        self.members: list[Any] = []
        self.join, self.wait_available = pool.join, pool.wait_available

    def state(self) -> Any:
        return len(self.pool), self.pool.free_count()

    def make(self, seconds: float) -> Any:
        raise NotImplementedError

    def start(self, seconds: float, blocking: bool, timeout: float | None) -> Any:
        member = self.make(seconds)
        member.index = len(self.members)
        self.members.append(member)
        return self.pool.start(member, blocking, timeout)

    def discard(self, number: int) -> None:
        if self.members:
            member = self.members[number % len(self.members)]
            self.pool.discard(member)
            self.side.note("leaves", member.index)


class FibrilMembers(Members):
    def make(self, seconds: float) -> FibrilMember:
        return FibrilMember(self.live, len(self.members), seconds)

    def live(self, number: int, seconds: float) -> None:
        self.side.note("begins", number)
        try:
            fibril.sleep(seconds)
        finally:
            self.side.note("ends", number)

    def kill_all(self, block: bool, timeout: float | None) -> None:
        self.pool.kill(block=block, timeout=timeout)


class ModelMembers(Members):
    def make(self, seconds: float) -> ModelMember:
        return ModelMember(self.side.world, self.live(len(self.members), seconds))

    def live(self, number: int, seconds: float) -> Body:
        self.side.note("begins", number)
        try:
            yield from self.side.world.sleep(seconds)
        finally:
            self.side.note("ends", number)

    def kill_all(self, block: bool, timeout: float | None) -> Body:
        return self.pool.kill_all(block, timeout)


class Counting(Group):
    """A group that answers like a pool."""

    def free_count(self) -> int:
        return 1

    def start(self, greenlet: Any, blocking: bool = True, timeout: float | None = None) -> None:
        super().start(greenlet)


def never_too_many(size: int | None) -> Callable[[Any, Trace], None]:
    def check(subject: Members, trace: Trace) -> None:
        running: set[int] = set()
        gone: set[int] = set()
        for _, _, what, number, _ in trace:
            if what == "begins":
                running.add(number)
            elif what in ("ends", "leaves"):
                gone.add(number)
            assert size is None or len(running - gone) <= size
        assert running <= gone
        assert subject.state() == (0, 1 if size is None else size)

    return check


def pools(size: int | None) -> Machine:
    start = operation("start", SECONDS, True, TIMEOUTS)
    instant = st.one_of(
        *[operation("start", SECONDS, False, None)] * 4,
        operation("kill_all", False, None),
        *[operation("discard", NUMBERS)] * 2,
    )
    return Machine(
        fibril=lambda side: FibrilMembers(side, Counting() if size is None else Pool(size)),
        model=lambda side: ModelMembers(side, models.Pool(side.world, size)),
        operations=st.one_of(
            *[start] * 6,
            *[operation("join", TIMEOUTS)] * 2,
            operation("wait_available", TIMEOUTS),
            operation("kill_all", True, TIMEOUTS),
            instant,
        ),
        instant=instant,
        state=Members.state,
        check=never_too_many(size),
    )


@pytest.mark.parametrize("size", [None, 0, 1, 2, 3])
def test_a_pool_does_what_the_model_does(size: int | None) -> None:
    compare(pools(size))


@settled
@given(
    size=st.integers(1, 4),
    seconds=st.lists(SECONDS, max_size=8),
    maxsize=st.one_of(st.none(), st.integers(1, 3)),
)
def test_a_pool_maps_as_map_does(size: int, seconds: list[int], maxsize: int | None) -> None:
    def work(task: tuple[int, int]) -> int:
        fibril.sleep(task[1])
        return task[0]

    def run() -> None:
        tasks, pool = list(enumerate(seconds)), Pool(size)
        assert pool.map(work, tasks) == list(range(len(tasks)))
        assert list(pool.imap(work, tasks, maxsize=maxsize)) == list(range(len(tasks)))
        unordered = list(pool.imap_unordered(work, tasks, maxsize=maxsize))
        assert sorted(unordered) == list(range(len(tasks)))
        if maxsize is None:
            assert unordered == order_of_end(size, seconds)
        assert fibril.get_hub().parked() == []

    run_in_thread(run, is_sim=True)


def order_of_end(size: int, seconds: list[int]) -> list[int]:
    """Who has a place, and when it is free: a list scheduler's answer, ties in order of start."""
    ends: list[tuple[int, int]] = []
    free = [0] * size
    for number, length in enumerate(seconds):
        begin = min(free)
        free[free.index(begin)] = begin + length
        ends.append((begin + length, number))
    return [number for _, number in sorted(ends)]
