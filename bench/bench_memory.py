"""Memory: what one parked task costs, resident memory and page tables together.

Measured from outside the allocator, by what the kernel says of the process before and after. The
limit is one touched page for each, side by side: what a stack of its own cannot go below. (Page
tables grow further when the stacks are far apart: one 4 KiB table per 2 MiB of addresses.)
"""

from __future__ import annotations

import asyncio
import gc
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import contest
from contest import Effort, Metric, Sample
from loops import asyncio_loop, uvloop_loop

AN_HOUR_S = 3600


def memory_bytes() -> dict[str, int]:
    """Resident memory and page tables of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {key: int(fields[key].split()[0]) * 1024 for key in ("VmRSS", "VmPTE")}


def growth(park: Callable[[int], object], effort: Effort) -> Sample:
    """A sample: growth per task while what `park(n)` returns is alive."""
    park(100)  # warm-up: imports, pools, code caches
    gc.collect()
    before = memory_bytes()
    parked = park(effort.parked)
    after = memory_bytes()
    rss, tables = ((after[key] - before[key]) / effort.parked for key in ("VmRSS", "VmPTE"))
    del parked
    return {"bytes": rss + tables, "rss": rss, "tables": tables}


def sleep_fibers(package: Any, effort: Effort) -> Sample:
    started = 0

    def task() -> None:
        nonlocal started
        started += 1
        package.sleep(AN_HOUR_S)

    def park(count: int) -> list[Any]:
        goal = started + count
        tasks = [package.spawn(task) for _ in range(count)]
        while started < goal:
            package.sleep(0.001)
        package.sleep(0.001)  # the last one has counted itself; let it park
        return tasks

    return growth(park, effort)


def sleep_coroutines(loop: asyncio.AbstractEventLoop, effort: Effort) -> Sample:
    started = 0

    async def task() -> None:
        nonlocal started
        started += 1
        await asyncio.sleep(AN_HOUR_S)

    async def park(count: int) -> list[asyncio.Task[None]]:
        goal = started + count
        tasks = [loop.create_task(task()) for _ in range(count)]
        while started < goal:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        return tasks

    return growth(lambda count: loop.run_until_complete(park(count)), effort)


def switch_away(fiber_type: Any, main: Any, effort: Effort) -> Sample:
    """Bare fibers, parked two Python frames deep."""

    def inner() -> None:
        main.switch()

    def outer() -> None:
        inner()

    def park(count: int) -> list[Any]:
        fibers = [fiber_type(outer) for _ in range(count)]
        for fiber in fibers:
            fiber.switch()
        return fibers

    return growth(park, effort)


def pages(effort: Effort) -> Sample:
    def park(count: int) -> mmap.mmap:
        area = mmap.mmap(-1, count * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        area.madvise(mmap.MADV_NOHUGEPAGE)
        for offset in range(0, len(area), mmap.PAGESIZE):
            area[offset] = 1
        return area

    return growth(park, effort)


def fibril(effort: Effort) -> Sample:
    import fibril

    return sleep_fibers(fibril, effort)


def fibril_bare(effort: Effort) -> Sample:
    from fibril import Fiber, getcurrent

    return switch_away(Fiber, getcurrent(), effort)


def gevent(effort: Effort) -> Sample:
    import gevent

    return sleep_fibers(gevent, effort)


def greenlet(effort: Effort) -> Sample:
    from greenlet import getcurrent, greenlet

    return switch_away(greenlet, getcurrent(), effort)


TASK, FIBER = "a task in sleep()", "a bare fiber, two Python frames deep"
CONTEST = contest.Contest(
    name="memory",
    title="Memory per parked task",
    how=f"Growth of VmRSS + VmPTE while {contest.FULL.parked:,} are parked, per task.",
    metrics=(
        Metric("bytes", "bytes, both", words=("smaller", "larger")),
        Metric("rss", "of it RSS", is_compared=False),
        Metric("tables", "page tables", is_compared=False),
    ),
    contenders={
        "fibril": {TASK: fibril, FIBER: fibril_bare},
        "gevent": {TASK: gevent},
        "greenlet": {FIBER: greenlet},
        "asyncio": {TASK: lambda effort: sleep_coroutines(asyncio_loop(), effort)},
        "uvloop": {TASK: lambda effort: sleep_coroutines(uvloop_loop(), effort)},
        "one page (limit)": {TASK: pages, FIBER: pages},
    },
    rounds_max=3,
)

if __name__ == "__main__":
    contest.main(CONTEST)
    os._exit(0)  # what it takes to end a hundred thousand parked tasks is not the question
