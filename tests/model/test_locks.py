"""Semaphore, BoundedSemaphore, RLock and Condition against their models."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

import fibril
from fibril.lock import BoundedSemaphore, Condition, RLock, Semaphore
from tests.model import models
from tests.model.machine import TIMEOUTS, Machine, Model, Side, Trace, compare, operation, outcomes
from tests.model.world import Body

# ---- semaphores: "told" waits by a link ----


class FibrilSemaphore(Semaphore):
    def told(self, timeout: float | None) -> bool:
        return bool(fibril.wait([self], timeout))


class FibrilBounded(BoundedSemaphore):
    told = FibrilSemaphore.told


class ModelSemaphore(models.Semaphore):
    def told(self, timeout: float | None) -> Body:
        news = models.Event(self.world)
        link = lambda _: news.set()  # noqa: E731  # compared by identity
        self.rawlink(link)
        try:
            return (yield from news.wait(timeout))
        finally:
            self.unlink(link)


class ModelBounded(ModelSemaphore, models.BoundedSemaphore):
    pass


def permits_are_conserved(value: int) -> Callable[[Any, Trace], None]:
    def check(semaphore: Semaphore, trace: Trace) -> None:
        taken = sum(outcome is True for _, outcome in outcomes(trace, "acquire"))
        given = sum(isinstance(outcome, int) for _, outcome in outcomes(trace, "release"))
        assert semaphore.counter == value + given - taken

    return check


def semaphores(of_fibril: type[Semaphore], of_model: type[ModelSemaphore], value: int) -> Machine:
    instant = st.one_of(*[operation("release")] * 3, operation("acquire", False))
    return Machine(
        fibril=lambda side: of_fibril(value),
        model=lambda side: of_model(side.world, value),
        operations=st.one_of(
            *[operation("acquire", True, TIMEOUTS)] * 3,
            operation("wait", TIMEOUTS),
            *[operation("told", TIMEOUTS)] * 2,
            instant,
        ),
        instant=instant,
        state=lambda semaphore: (semaphore.counter, semaphore.locked()),
        check=permits_are_conserved(value),
    )


# ---- locks that have an owner ----

HOLD = [operation("acquire", True, TIMEOUTS), operation("release")]
TRY = st.one_of(operation("acquire", False), operation("release"))
RLOCK = Machine(
    fibril=lambda side: RLock(),
    model=lambda side: models.RLock(side.world),
    operations=st.one_of(*HOLD * 3, operation("acquire", False)),
    instant=TRY,
    state=lambda lock: lock.locked(),
)


class Conditional:
    """What a program does with a condition: each takes the lock for as long as it needs it."""

    def __init__(self, side: Side, lock: Any, condition: Any) -> None:
        self.side, self.lock, self.condition = side, lock, condition


class FibrilConditional(Conditional):
    def wait(self, depth: int, timeout: float | None) -> Any:
        """With the lock taken so many times; who is killed must have it again as often."""
        try:
            for _ in range(depth):
                self.condition.acquire()
            return self.condition.wait(timeout)
        finally:
            self.let_go()

    def notify(self, count: int, seconds: float) -> None:
        with self.condition:
            self.condition.notify(count)
            if seconds:
                fibril.sleep(seconds)

    def let_go(self) -> None:
        for _ in range(3):
            try:
                self.condition.release()
                self.side.note("released")
            except RuntimeError:
                self.side.note("not mine")

    def tell(self, count: int) -> None:
        """At once, if the lock is free."""
        if self.condition.acquire(False):
            self.condition.notify(count)
            self.condition.release()
            self.side.note("told")


class ModelConditional(Conditional):
    def wait(self, depth: int, timeout: float | None) -> Body:
        try:
            for _ in range(depth):
                yield from self.condition.acquire()
            return (yield from self.condition.wait(timeout))
        finally:
            self.let_go()

    def notify(self, count: int, seconds: float) -> Body:
        yield from self.condition.acquire()
        try:
            self.condition.notify(count)
            if seconds:
                yield from self.side.world.sleep(seconds)
        finally:
            self.condition.release()

    let_go = FibrilConditional.let_go

    def tell(self, count: int) -> Body:
        if (yield from self.condition.acquire(False)):
            self.condition.notify(count)
            self.condition.release()
            self.side.note("told")


def fibril_condition(side: Side) -> FibrilConditional:
    lock = RLock()
    return FibrilConditional(side, lock, Condition(lock))


def model_condition(side: Model) -> ModelConditional:
    lock = models.RLock(side.world)
    return ModelConditional(side, lock, models.Condition(lock))


COUNTS = st.integers(1, 3)
CONDITION = Machine(
    fibril=fibril_condition,
    model=model_condition,
    operations=st.one_of(
        *[operation("wait", st.integers(0, 2), TIMEOUTS)] * 3,
        operation("notify", COUNTS, st.integers(0, 2)),
    ),
    instant=operation("tell", COUNTS),
    state=lambda subject: (subject.lock.locked(), len(subject.condition)),
)

MACHINES = {
    "Semaphore(0)": semaphores(FibrilSemaphore, ModelSemaphore, 0),
    "Semaphore(2)": semaphores(FibrilSemaphore, ModelSemaphore, 2),
    "BoundedSemaphore(2)": semaphores(FibrilBounded, ModelBounded, 2),
    "RLock": RLOCK,
    "Condition": CONDITION,
}


@pytest.mark.parametrize("name", MACHINES)
def test_locks_do_what_the_model_does(name: str) -> None:
    compare(MACHINES[name])
