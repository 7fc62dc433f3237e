"""sleep(0): let the others run. One task alone, and two tasks that take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of
from loops import on_both


def one_task(package: Any, effort: Effort) -> Sample:
    return cost_of(lambda count: nap(package.sleep, count), effort)


def two_tasks(package: Any, effort: Effort) -> Sample:
    def work(count: int) -> None:
        package.joinall([package.spawn(nap, package.sleep, count // 2) for _ in range(2)])

    return cost_of(work, effort)


def nap(sleep: Any, count: int) -> None:
    for _ in range(count):
        sleep(0)


async def nap_async(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def nap_async_by_turns(count: int) -> None:
    await asyncio.gather(nap_async(count // 2), nap_async(count // 2))


def fibril(case: Callable[[Any, Effort], Sample], effort: Effort) -> Sample:
    import fibril

    return case(fibril, effort)


def gevent(case: Callable[[Any, Effort], Sample], effort: Effort) -> Sample:
    import gevent

    return case(gevent, effort)


ALONE, BY_TURNS = "one task", "two tasks, per sleep"
ASYNCIO_ALONE, UVLOOP_ALONE = on_both(nap_async)
ASYNCIO_BY_TURNS, UVLOOP_BY_TURNS = on_both(nap_async_by_turns)

CONTEST = contest.Contest(
    name="sleep",
    title="sleep(0)",
    how="A loop of `sleep(0)`, by one task that is alone and by two that take turns.",
    metrics=NANOSECONDS,
    contenders={
        "fibril": {
            ALONE: lambda effort: fibril(one_task, effort),
            BY_TURNS: lambda effort: fibril(two_tasks, effort),
        },
        "gevent": {
            ALONE: lambda effort: gevent(one_task, effort),
            BY_TURNS: lambda effort: gevent(two_tasks, effort),
        },
        "asyncio": {ALONE: ASYNCIO_ALONE, BY_TURNS: ASYNCIO_BY_TURNS},
        "uvloop": {ALONE: UVLOOP_ALONE, BY_TURNS: UVLOOP_BY_TURNS},
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
