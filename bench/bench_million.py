"""A million tasks: started, parked all at once, woken, and joined.

In sleep() each is woken by a timer of its own, in queue.get() by an item that is put for it. Times
are CPU time per task, from spawning the first until the last has been joined; how long they must
sleep to be parked all at once is found out with fewer of them, and costs no CPU time. Memory as in
bench_memory.py, while all are parked.

A virtual machine gives memory that it does not use back to its host, and a page that must be
fetched from there costs up to six times the fault itself. So before each turn as much memory as
the hungriest needs is touched and freed: what is measured is not who came first.

What gevent's queue costs grows with those who wait, so there gevent has a tenth of them, which is
in its favour: a million would take it an hour.
"""

from __future__ import annotations

import asyncio
import gc
import mmap
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

import contest
from bench_memory import memory_bytes
from contest import Effort, Metric, Sample

Park = Callable[[int, float], Any]  # so many, for at least so many seconds: what wakes them
TRIAL = 5_000
GIB = 1 << 30
TASK_BYTES_MAX = 10_000  # what gevent takes for each


def fetch_memory(count: int) -> None:
    """Leave the kernel with so much free memory as `count` tasks may need, if it has it at all."""
    bytes_max = os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE // 4 * 3
    with mmap.mmap(-1, min(count * TASK_BYTES_MAX, bytes_max), flags=mmap.MAP_PRIVATE) as memory:
        memory[:: mmap.PAGESIZE] = bytes(-(-len(memory) // mmap.PAGESIZE))


def crowd(park: Park, wake: Callable[[Any], int], count: int, whole: int) -> Sample:
    """A sample: park(count, seconds) returns when all are parked, wake(parked) how many ended."""
    began = time.monotonic()
    parked = park(TRIAL, 0.3)
    seconds = 1 + 4 * (time.monotonic() - began) * count / TRIAL
    wake(parked)
    gc.collect()
    fetch_memory(count)
    before = memory_bytes()
    start = time.process_time_ns()
    parked = park(count, seconds)
    stood = time.process_time_ns()
    after = memory_bytes()
    ended = wake(parked)
    woken = time.process_time_ns()
    if ended != count:
        raise SystemExit(f"{count:,} were parked, but {ended:,} have ended")
    grown = sum(after[key] - before[key] for key in ("VmRSS", "VmPTE")) / count
    return {
        "ns": (woken - start) / count,
        "park_ns": (stood - start) / count,
        "wake_ns": (woken - stood) / count,
        "bytes": grown,
        "gib": grown * whole / GIB,
    }


# ---- fibril, gevent ----


def asleep(package: Any, effort: Effort) -> Sample:
    ended = 0

    def sleep(until: float) -> None:
        nonlocal ended
        package.sleep(until - time.monotonic())
        ended += 1

    def park(count: int, seconds: float) -> list[Any]:
        nonlocal ended
        ended = 0
        until = time.monotonic() + seconds
        tasks = [package.spawn(sleep, until) for _ in range(count)]
        package.sleep(0)
        if ended:
            raise SystemExit(f"{ended:,} of {count:,} woke before the last one slept")
        return tasks

    def wake(tasks: list[Any]) -> int:
        package.joinall(tasks)
        return sum(task.successful() for task in tasks)

    return crowd(park, wake, effort.million, effort.million)


def getting(package: Any, queue_type: Any, effort: Effort, share: int = 1) -> Sample:
    def park(count: int, _: float) -> tuple[Any, list[Any]]:
        queue = queue_type()
        tasks = [package.spawn(queue.get) for _ in range(count)]
        package.sleep(0)
        return queue, tasks

    def wake(parked: tuple[Any, list[Any]]) -> int:
        queue, tasks = parked
        for number in range(len(tasks)):
            queue.put(number)
        package.joinall(tasks)
        return sum(task.successful() for task in tasks)

    return crowd(park, wake, effort.million // share, effort.million)


def fibril_asleep(effort: Effort) -> Sample:
    import fibril

    return asleep(fibril, effort)


def fibril_getting(effort: Effort) -> Sample:
    import fibril
    from fibril.queue import Queue

    return getting(fibril, Queue, effort)


def gevent_asleep(effort: Effort) -> Sample:
    import gevent

    return asleep(gevent, effort)


def gevent_getting(effort: Effort) -> Sample:
    import gevent
    from gevent.queue import Queue

    return getting(gevent, Queue, effort, 10)


# ---- asyncio ----


def on_loop(
    stand: Callable[[int, float], Coroutine[Any, Any, Any]],
    go: Callable[[Any], Coroutine[Any, Any, int]],
    effort: Effort,
) -> Sample:
    loop = asyncio.new_event_loop()
    return crowd(
        lambda count, seconds: loop.run_until_complete(stand(count, seconds)),
        lambda parked: loop.run_until_complete(go(parked)),
        effort.million,
        effort.million,
    )


def asyncio_asleep(effort: Effort) -> Sample:
    async def sleep(until: float) -> None:
        await asyncio.sleep(until - time.monotonic())

    async def stand(count: int, seconds: float) -> list[asyncio.Task[None]]:
        until = time.monotonic() + seconds
        tasks = [asyncio.create_task(sleep(until)) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    async def go(tasks: list[asyncio.Task[None]]) -> int:
        return len(await asyncio.gather(*tasks))

    return on_loop(stand, go, effort)


def asyncio_getting(effort: Effort) -> Sample:
    async def stand(count: int, _: float) -> tuple[Any, list[asyncio.Task[int]]]:
        queue: asyncio.Queue[int] = asyncio.Queue()
        tasks = [asyncio.create_task(queue.get()) for _ in range(count)]
        await asyncio.sleep(0)
        return queue, tasks

    async def go(parked: tuple[Any, list[asyncio.Task[int]]]) -> int:
        queue, tasks = parked
        for number in range(len(tasks)):
            await queue.put(number)
        return len(await asyncio.gather(*tasks))

    return on_loop(stand, go, effort)


ASLEEP, GETTING = "in sleep()", "in queue.get()"
CONTEST = contest.Contest(
    name="million",
    title="A million tasks",
    how=(
        f"{contest.FULL.million:,} tasks (gevent in queue.get(): a tenth of that) are spawned, "
        "parked at once, woken and joined; per task."
    ),
    metrics=(
        Metric("ns", "ns, all of it"),
        Metric("park_ns", "spawn and park", is_compared=False),
        Metric("wake_ns", "wake and join", is_compared=False),
        Metric("bytes", "bytes", words=("smaller", "larger")),
        Metric("gib", f"GiB for {contest.FULL.million:,}", digits=2, is_compared=False),
    ),
    contenders={
        "fibril": {ASLEEP: fibril_asleep, GETTING: fibril_getting},
        "gevent": {ASLEEP: gevent_asleep, GETTING: gevent_getting},
        "asyncio": {ASLEEP: asyncio_asleep, GETTING: asyncio_getting},
    },
    rounds_max=3,
)

if __name__ == "__main__":
    contest.main(CONTEST)
    os._exit(0)  # what it takes to free a million objects is not the question
