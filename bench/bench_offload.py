"""A call on a native thread that does nothing: one task alone, and 64 at once on ten threads.

CPU time of both threads. One task alone pays for the kernel's switches to the thread and back; when
many wait, a thread finds the next call when it is done with one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of
from loops import on_both

TASKS = 64


def nothing() -> None:
    pass


def call(offload: Callable[[Any], object], count: int) -> None:
    for _ in range(count):
        offload(nothing)


def one_task(package: Any, offload: Callable[[Any], object], effort: Effort) -> Sample:
    return cost_of(lambda count: call(offload, count), effort)


def many_tasks(package: Any, offload: Callable[[Any], object], effort: Effort) -> Sample:
    def work(count: int) -> None:
        package.joinall([package.spawn(call, offload, count // TASKS) for _ in range(TASKS)])

    return cost_of(work, effort)


async def call_async(count: int) -> None:
    for _ in range(count):
        await asyncio.to_thread(nothing)


async def call_async_at_once(count: int) -> None:
    await asyncio.gather(*(call_async(count // TASKS) for _ in range(TASKS)))


Case = Callable[[Any, Callable[[Any], object], Effort], Sample]


def fibril(case: Case, effort: Effort) -> Sample:
    import fibril

    return case(fibril, fibril.offload, effort)


def gevent(case: Case, effort: Effort) -> Sample:
    import gevent

    return case(gevent, gevent.get_hub().threadpool.apply, effort)


ALONE, AT_ONCE = "one task", f"{TASKS} tasks, per call"
ASYNCIO_ALONE, UVLOOP_ALONE = on_both(call_async)
ASYNCIO_AT_ONCE, UVLOOP_AT_ONCE = on_both(call_async_at_once)

CONTEST = contest.Contest(
    name="offload",
    title="A blocking call on a native thread",
    how="`offload` of a function that does nothing; gevent: the hub's `threadpool.apply`; asyncio: "
    "`to_thread`.",
    metrics=NANOSECONDS,
    contenders={
        "fibril": {
            ALONE: lambda effort: fibril(one_task, effort),
            AT_ONCE: lambda effort: fibril(many_tasks, effort),
        },
        "gevent": {
            ALONE: lambda effort: gevent(one_task, effort),
            AT_ONCE: lambda effort: gevent(many_tasks, effort),
        },
        "asyncio": {ALONE: ASYNCIO_ALONE, AT_ONCE: ASYNCIO_AT_ONCE},
        "uvloop": {ALONE: UVLOOP_ALONE, AT_ONCE: UVLOOP_AT_ONCE},
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
