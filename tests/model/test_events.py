"""Event, AsyncResult, and waiting for several things, against their models."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import strategies as st

import fibril
from fibril.event import AsyncResult, Event
from fibril.lock import Semaphore
from tests.model import models
from tests.model.machine import NUMBERS, TIMEOUTS, Machine, Model, Side, compare, operation
from tests.model.world import Body, Failure

# ---- one of them ----


class FibrilResult(AsyncResult):
    def fail(self) -> None:
        self.set_exception(Failure())


FLAG = st.one_of(*[operation("set")] * 2, operation("clear"))
EVENT = Machine(
    fibril=lambda side: Event(),
    model=lambda side: models.Event(side.world),
    operations=st.one_of(
        *[operation("wait", TIMEOUTS)] * 4, *[FLAG] * 2, operation("spin", st.integers(20, 70))
    ),
    instant=FLAG,
    state=lambda event: event.is_set(),
)
SETTLE = st.one_of(operation("fail"), *[operation("set", NUMBERS)] * 2, operation("get", False))
RESULT = Machine(
    fibril=lambda side: FibrilResult(),
    model=lambda side: models.Result(side.world),
    operations=st.one_of(
        *[operation("get", True, TIMEOUTS)] * 3, operation("wait", TIMEOUTS), SETTLE
    ),
    instant=SETTLE,
    state=lambda result: (result.ready(), result.successful(), result.value),
)

# ---- several ----


class Things:
    """What may be waited for: the first four, and then the program's tasks."""

    def __init__(self, side: Side, things: list[Any]) -> None:
        self.side, self.things = side, things

    def state(self) -> list[bool]:
        return [task.has_links() for task in self.side.tasks]

    def chosen(self, numbers: Iterable[int]) -> list[Any]:
        return [thing for number in numbers for thing in self.everything()[number : number + 1]]

    def everything(self) -> list[Any]:
        return self.things + self.side.tasks

    def names(self, ready: Iterable[Any]) -> list[int]:
        return [self.everything().index(thing) for thing in ready]

    def set(self, number: int) -> None:
        self.things[number].set()

    def clear(self, number: int) -> None:
        self.things[number].clear()

    def settle(self, value: int) -> None:
        self.things[2].set(value)

    def release(self) -> None:
        self.things[3].release()

    def acquire(self, timeout: float | None) -> Any:
        return self.things[3].acquire(True, timeout)


class FibrilThings(Things):
    def __init__(self, side: Side) -> None:
        super().__init__(side, [Event(), Event(), AsyncResult(), Semaphore(0)])

    def wait(self, numbers: list[int], timeout: float | None, count: int | None) -> list[int]:
        return self.names(fibril.wait(self.chosen(numbers), timeout, count))

    def take(self, numbers: list[int], timeout: float | None, seconds: float) -> list[int]:
        """Two of them, with a pause between."""
        taken = []
        with fibril.iwait(self.chosen(numbers), timeout) as ready:
            for thing in ready:
                taken.append(thing)
                if len(taken) == 2:
                    break
                fibril.sleep(seconds)
        return self.names(taken)

    def joinall(self, timeout: float | None, count: int | None) -> list[int]:
        return self.names(fibril.joinall(self.side.tasks, timeout, count=count))


class ModelThings(Things):
    def __init__(self, side: Model) -> None:
        world = self.world = side.world
        super().__init__(
            side,
            [
                *(models.Event(world), models.Event(world)),
                *(models.Result(world), models.Semaphore(world, 0)),
            ],
        )

    def wait(self, numbers: list[int], timeout: float | None, count: int | None) -> Body:
        return self.collect(self.chosen(numbers), timeout, count)

    def take(self, numbers: list[int], timeout: float | None, seconds: float) -> Body:
        return self.collect(self.chosen(numbers), timeout, 2, seconds)

    def joinall(self, timeout: float | None, count: int | None) -> Body:
        tasks = list(self.side.tasks)
        if count is not None:
            return (yield from self.collect(tasks, timeout, count))
        end = None if timeout is None else self.world.clock + timeout
        for task in tasks:
            yield from task.join(self.left(end))
        return self.names(task for task in tasks if task.is_ended)

    def left(self, end: float | None) -> float | None:
        return None if end is None else max(0, end - self.world.clock)

    def collect(
        self,
        things: list[Any],
        timeout: float | None,
        count: int | None,
        pause_s: float | None = None,
    ) -> Body:
        """Those that are ready first, until they are enough, or the time is over."""
        end = None if timeout is None else self.world.clock + timeout
        told: list[Any] = []
        news = models.Event(self.world)

        def note(thing: Any) -> None:
            told.append(thing)
            news.set()

        for thing in things:
            thing.rawlink(note)
        taken_count, wanted = 0, min(len(things) if count is None else count, len(things))
        try:
            while taken_count < wanted and (yield from self.is_told(told, taken_count, news, end)):
                taken_count += 1
                if pause_s is not None and taken_count < 2:
                    yield from self.world.sleep(pause_s)
        finally:
            for thing in things:
                thing.unlink(note)
        return self.names(told[:taken_count])

    def is_told(
        self, told: list[Any], taken_count: int, news: models.Event, end: float | None
    ) -> Body:
        while len(told) == taken_count:
            news.clear()
            if not (yield from news.wait(self.left(end))):
                return False
        return True


CHOICES = st.lists(st.integers(0, 7), min_size=1, max_size=5)
COUNTS = st.sampled_from([None, None, 0, 1, 2])
MAKE_READY = st.one_of(
    operation("set", st.integers(0, 1)),
    operation("clear", st.integers(0, 1)),
    operation("settle", NUMBERS),
    *[operation("release")] * 2,
)
SEVERAL = Machine(
    fibril=FibrilThings,
    model=ModelThings,
    operations=st.one_of(
        *[operation("wait", CHOICES, TIMEOUTS, COUNTS)] * 3,
        operation("take", CHOICES, TIMEOUTS, st.integers(0, 2)),
        operation("joinall", TIMEOUTS, COUNTS),
        operation("acquire", TIMEOUTS),
        MAKE_READY,
    ),
    instant=MAKE_READY,
    state=Things.state,
)

MACHINES = {"Event": EVENT, "AsyncResult": RESULT, "wait, iwait and joinall": SEVERAL}


@pytest.mark.parametrize("name", MACHINES)
def test_events_do_what_the_model_does(name: str) -> None:
    compare(MACHINES[name])
