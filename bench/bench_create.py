"""Create + run + finish: one fiber that runs an empty function and is forgotten.

The limit is a generator that ends at once: what the interpreter needs for a frame of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of


def nothing() -> None:
    pass


def create_all(fiber_type: Any, count: int) -> None:
    for _ in range(count):
        fiber_type(nothing).switch()


def fibril(effort: Effort) -> Sample:
    from fibril import Fiber

    return cost_of(lambda count: create_all(Fiber, count), effort)


def greenlet(effort: Effort) -> Sample:
    from greenlet import greenlet

    return cost_of(lambda count: create_all(greenlet, count), effort)


def ending() -> Iterator[None]:
    return
    yield


def finish_all(count: int) -> None:
    for _ in range(count):
        for _ in ending():
            pass


def generator(effort: Effort) -> Sample:
    return cost_of(finish_all, effort)


CASE = "one fiber"
CONTEST = contest.Contest(
    name="create",
    title="Create + run + finish",
    how="`Fiber(fn).switch()` of an empty function, again and again. "
    "Generator: one that ends at once.",
    metrics=NANOSECONDS,
    contenders={
        "fibril": {CASE: fibril},
        "greenlet": {CASE: greenlet},
        "generator (limit)": {CASE: generator},
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
