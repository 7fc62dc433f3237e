"""A crowd: so many fibers are parked at once, each is woken once, and all finish.

What a large number adds to the cost of one: caches and page tables that no longer fit, and for
greenlet the copies of stack slices that it makes for each. Times are CPU time per fiber, from
making it until it is parked, and from waking it until it has ended. Memory as in bench_memory.py.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable
from typing import Any

import contest
from bench_memory import memory_bytes
from contest import Metric, Sample


def crowd(count: int, park: Callable[[int], object], wake: Callable[[Any], int]) -> Sample:
    """A sample: `park(n)` returns what is parked, `wake(parked)` how many have ended."""
    wake(park(100))  # warm-up: imports, pools, code caches
    gc.collect()
    before = memory_bytes()
    began = time.process_time_ns()
    parked = park(count)
    stood = time.process_time_ns()
    after = memory_bytes()
    ended = wake(parked)
    woken = time.process_time_ns()
    if ended != count:
        raise SystemExit(f"{count:,} were parked, but {ended:,} have ended")
    grown = sum(after[key] - before[key] for key in ("VmRSS", "VmPTE"))
    return {
        "park_ns": (stood - began) / count,
        "wake_ns": (woken - stood) / count,
        "bytes": grown / count,
    }


def by_hand(fiber_type: Any, main: Any, count: int) -> Sample:
    """Bare fibers, two Python frames deep."""

    def inner() -> None:
        main.switch()

    def outer() -> None:
        inner()

    def park(number: int) -> list[Any]:
        fibers = [fiber_type(outer) for _ in range(number)]
        for fiber in fibers:
            fiber.switch()
        return fibers

    def wake(fibers: list[Any]) -> int:
        for fiber in fibers:
            fiber.switch()
        return sum(fiber.dead for fiber in fibers)

    return crowd(count, park, wake)


def fibril_by_hand(count: int) -> Sample:
    from fibril import Fiber, getcurrent

    return by_hand(Fiber, getcurrent(), count)


def greenlet_by_hand(count: int) -> Sample:
    from greenlet import getcurrent, greenlet

    return by_hand(greenlet, getcurrent(), count)


def fibril_tasks(count: int) -> Sample:
    import fibril
    from fibril.event import Event

    def park(number: int) -> tuple[Event, list[Any]]:
        event = Event()
        tasks = [fibril.spawn(event.wait) for _ in range(number)]
        fibril.sleep(0)
        return event, tasks

    def wake(parked: tuple[Event, list[Any]]) -> int:
        event, tasks = parked
        event.set()
        fibril.joinall(tasks)
        return sum(task.successful() for task in tasks)

    return crowd(count, park, wake)


def asyncio_tasks(count: int) -> Sample:
    loop = asyncio.new_event_loop()

    async def stand(number: int) -> tuple[asyncio.Event, list[asyncio.Task[bool]]]:
        event = asyncio.Event()
        tasks = [loop.create_task(event.wait()) for _ in range(number)]
        await asyncio.sleep(0)
        return event, tasks

    async def go(event: asyncio.Event, tasks: list[asyncio.Task[bool]]) -> int:
        event.set()
        return sum(await asyncio.gather(*tasks))

    return crowd(
        count,
        lambda number: loop.run_until_complete(stand(number)),
        lambda parked: loop.run_until_complete(go(*parked)),
    )


TENTH, ALL, TASKS = "a tenth of them, by hand", "by hand", "tasks that wait for one event"
CONTEST = contest.Contest(
    name="crowd",
    title="A crowd",
    how=f"{contest.FULL.crowd:,} are parked at once, each is woken once, and all end; per fiber.",
    metrics=(
        Metric("wake_ns", "ns, wake to end"),
        Metric("park_ns", "make and park"),
        Metric("bytes", "bytes", words=("smaller", "larger")),
    ),
    contenders={
        "fibril": {
            TENTH: lambda effort: fibril_by_hand(effort.crowd // 10),
            ALL: lambda effort: fibril_by_hand(effort.crowd),
            TASKS: lambda effort: fibril_tasks(effort.crowd),
        },
        "greenlet": {TENTH: lambda effort: greenlet_by_hand(effort.crowd // 10)},
        "asyncio": {TASKS: lambda effort: asyncio_tasks(effort.crowd)},
    },
    rounds_max=3,
)

if __name__ == "__main__":
    contest.main(CONTEST)
    os._exit(0)  # what it takes to free a million objects is not the question
