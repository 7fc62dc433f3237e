"""Spawn + join: a task with an empty function, waited for; alone, and 1,000 at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of
from loops import on_both

CROWD = 1000


def nothing() -> None:
    pass


def one_by_one(package: Any, effort: Effort) -> Sample:
    spawn = package.spawn

    def work(count: int) -> None:
        for _ in range(count):
            spawn(nothing).join()

    return cost_of(work, effort)


def crowd(package: Any, effort: Effort) -> Sample:
    spawn, joinall = package.spawn, package.joinall

    def work(count: int) -> None:
        for _ in range(count // CROWD):
            joinall([spawn(nothing) for _ in range(CROWD)])

    return cost_of(work, effort)


async def nothing_async() -> None:
    pass


async def one_by_one_async(count: int) -> None:
    for _ in range(count):
        await asyncio.create_task(nothing_async())


async def crowd_async(count: int) -> None:
    for _ in range(count // CROWD):
        await asyncio.gather(*[nothing_async() for _ in range(CROWD)])


def fibril(case: Callable[[Any, Effort], Sample], effort: Effort) -> Sample:
    import fibril

    return case(fibril, effort)


def gevent(case: Callable[[Any, Effort], Sample], effort: Effort) -> Sample:
    import gevent

    return case(gevent, effort)


ALONE, AT_ONCE = "one by one", "1,000 at once, per task"
ASYNCIO_ALONE, UVLOOP_ALONE = on_both(one_by_one_async)
ASYNCIO_AT_ONCE, UVLOOP_AT_ONCE = on_both(crowd_async)

CONTEST = contest.Contest(
    name="spawn",
    title="Spawn + join",
    how="`spawn(fn).join()` of an empty function, and `joinall` of 1,000; asyncio: "
    "`await create_task()`, and `gather` of 1,000.",
    metrics=NANOSECONDS,
    contenders={
        "fibril": {
            ALONE: lambda effort: fibril(one_by_one, effort),
            AT_ONCE: lambda effort: fibril(crowd, effort),
        },
        "gevent": {
            ALONE: lambda effort: gevent(one_by_one, effort),
            AT_ONCE: lambda effort: gevent(crowd, effort),
        },
        "asyncio": {ALONE: ASYNCIO_ALONE, AT_ONCE: ASYNCIO_AT_ONCE},
        "uvloop": {ALONE: UVLOOP_ALONE, AT_ONCE: UVLOOP_AT_ONCE},
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
