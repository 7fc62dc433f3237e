"""Switch: what it costs to hand control, or control and one value, from one fiber to another.

Two fibers switch back and forth; the figure is one way. A generator's `__next__` goes there and
back too (resume, yield), so its one way is half a call. It is the limit of what the interpreter
itself does for suspended Python code, though it needs no stack and can suspend one frame only.
"""

from __future__ import annotations

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
    return cost_of(lambda count: call(forth, count), effort)


def one_argument(fiber_type: Any, main: Any, effort: Effort) -> Sample:
    back = main.switch

    def partner(value: object) -> None:
        while True:
            value = back(value)

    forth = fiber_type(partner).switch
    return cost_of(lambda count: call_with(forth, count), effort)


def call(forth: Callable[[], object], count: int) -> None:
    """There and back count / 2 times. `repeat`, because `range` makes a number each time round."""
    for _ in repeat(None, count // 2):
        forth()


def call_with(forth: Callable[[object], object], count: int) -> None:
    for _ in repeat(None, count // 2):
        forth(count)


def weft(case: Callable[..., Sample], effort: Effort) -> Sample:
    from weft import Fiber, getcurrent

    return case(Fiber, getcurrent(), effort)


def greenlet(case: Callable[..., Sample], effort: Effort) -> Sample:
    from greenlet import getcurrent, greenlet

    return case(greenlet, getcurrent(), effort)


def yielding() -> Iterator[None]:
    while True:
        yield


def echoing() -> Any:
    value = None
    while True:
        value = yield value


def generator_next(effort: Effort) -> Sample:
    forth = yielding().__next__
    return cost_of(lambda count: call(forth, count), effort)


def generator_send(effort: Effort) -> Sample:
    generator = echoing()
    next(generator)
    return cost_of(lambda count: call_with(generator.send, count), effort)


CONTEST = contest.Contest(
    name="switch",
    title="Switch, one way",
    how="Two fibers switch back and forth; half of there-and-back. Generator: half of `__next__`, "
    "half of `send`.",
    metrics=NANOSECONDS,
    contenders={
        "weft": {
            "no argument": lambda effort: weft(no_argument, effort),
            "one argument": lambda effort: weft(one_argument, effort),
        },
        "greenlet": {
            "no argument": lambda effort: greenlet(no_argument, effort),
            "one argument": lambda effort: greenlet(one_argument, effort),
        },
        "generator (limit)": {"no argument": generator_next, "one argument": generator_send},
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
