"""Switch: what it costs to hand control, or control and one value, from one fiber to another.

Two fibers switch back and forth; the figure is one way. A call of a generator's `__next__` goes
there and back too (resume, yield): it is given whole, because a program that consumes a generator
pays that for a value, and halved, as the limit of what the interpreter itself does for suspended
Python code. A generator needs no stack and can suspend one frame only.

In the chain each fiber starts the next one from within, so that the stacks nest, and then they are
switched through in a ring. Where fibers share the thread's stack, that costs more the longer the
chain is; here it costs no more instructions, but a thousand stacks are more than the caches hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of


def no_argument(fiber_type: Any, main: Any, effort: Effort) -> Sample:
    back = main.switch

    def partner() -> None:
        while True:
            back()

    forth = fiber_type(partner).switch
    return cost_of(lambda count: turn(forth, count // 2), effort)


def one_argument(fiber_type: Any, main: Any, effort: Effort) -> Sample:
    back = main.switch

    def partner(value: object) -> None:
        while True:
            value = back(value)

    forth = fiber_type(partner).switch
    return cost_of(lambda count: turn_with(forth, count // 2), effort)


def chain(length: int) -> Callable[..., Sample]:
    """`length` fibers, each started by the one before it; main and they take turns in a ring."""

    def case(fiber_type: Any, main: Any, effort: Effort) -> Sample:
        switches: list[Callable[[], object]] = []
        sys.setrecursionlimit(10 * length)  # greenlet counts on from the creator's depth

        def link() -> None:
            if len(switches) < length:
                forth = add()
            else:
                forth = main.switch
            while True:
                forth()

        def add() -> Callable[[], object]:
            forth: Callable[[], object] = fiber_type(link).switch
            switches.append(forth)
            forth()
            return forth

        first = add()
        return cost_of(lambda count: turn(first, count // (length + 1)), effort)

    return case


def turn(forth: Callable[[], object], count: int) -> None:
    """`repeat`, because `range` makes a number each time round."""
    for _ in repeat(None, count):
        forth()


def turn_with(forth: Callable[[object], object], count: int) -> None:
    for _ in repeat(None, count):
        forth(count)


def fibril(case: Callable[..., Sample]) -> Callable[[Effort], Sample]:
    def run(effort: Effort) -> Sample:
        from fibril import Fiber, getcurrent

        return case(Fiber, getcurrent(), effort)

    return run


def greenlet(case: Callable[..., Sample]) -> Callable[[Effort], Sample]:
    def run(effort: Effort) -> Sample:
        from greenlet import getcurrent, greenlet

        return case(greenlet, getcurrent(), effort)

    return run


def yielding() -> Iterator[None]:
    while True:
        yield


def echoing() -> Any:
    value = None
    while True:
        value = yield value


def generator_next(ways: int) -> Callable[[Effort], Sample]:
    """A call there and back counts as so many ways."""

    def run(effort: Effort) -> Sample:
        forth = yielding().__next__
        return cost_of(lambda count: turn(forth, count // ways), effort)

    return run


def generator_send(ways: int) -> Callable[[Effort], Sample]:
    def run(effort: Effort) -> Sample:
        generator = echoing()
        next(generator)
        return cost_of(lambda count: turn_with(generator.send, count // ways), effort)

    return run


def line_up(of: Callable[..., Callable[[Effort], Sample]]) -> dict[str, Callable[[Effort], Sample]]:
    cases = {NONE: no_argument, ONE: one_argument, CHAIN: chain(1000)}
    return {name: of(case) for name, case in cases.items()}


NONE, ONE, CHAIN = "no argument", "one argument", "through a chain of 1,000"
CONTEST = contest.Contest(
    name="switch",
    title="Switch, one way",
    how="Two fibers switch back and forth; half of there-and-back. The chain: 1,000 fibers, each "
    "started by the one before, in a ring. Generator: a call of `__next__` (of `send`), and half.",
    metrics=NANOSECONDS,
    contenders={
        "fibril": line_up(fibril),
        "greenlet": line_up(greenlet),
        "generator": {NONE: generator_next(1), ONE: generator_send(1)},
        "half of it (limit)": {NONE: generator_next(2), ONE: generator_send(2)},
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
