"""with Timeout(...): around something that is done in time, as nearly always."""

from __future__ import annotations

import asyncio
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of
from loops import on_both


def in_time(package: Any, effort: Effort) -> Sample:
    def work(count: int) -> None:
        for _ in range(count):
            with package.Timeout(100):
                pass

    return cost_of(work, effort)


async def in_time_async(count: int) -> None:
    for _ in range(count):
        async with asyncio.timeout(100):
            pass


def fibril(effort: Effort) -> Sample:
    import fibril

    return in_time(fibril, effort)


def gevent(effort: Effort) -> Sample:
    import gevent

    return in_time(gevent, effort)


CASE = "an empty block"
ASYNCIO, UVLOOP = on_both(in_time_async)

CONTEST = contest.Contest(
    name="timeout",
    title="A timeout that is not needed",
    how="`with Timeout(100)` around an empty block; asyncio: `async with asyncio.timeout(100)`.",
    metrics=NANOSECONDS,
    contenders={
        "fibril": {CASE: fibril},
        "gevent": {CASE: gevent},
        "asyncio": {CASE: ASYNCIO},
        "uvloop": {CASE: UVLOOP},
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
