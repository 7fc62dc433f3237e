"""Many tasks wait in one queue, each with a timeout: what one put and get costs among them.

`queue.get(timeout=…)` with 1,000, 10,000 and 100,000 in it at once. Served: an item comes for who
waits longest, his timeout is cancelled, and he waits again, behind the others. In vain: nothing
comes, each times out, and waits again. The cost must not grow with their number; the 1,000 do fit
into the cache; so fibril's own figure with 10,000 stands beside that with 100,000 as a rival.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS

AN_HOUR_S, SOON_S = 3600.0, 0.05
NUMBERS = (1_000, 10_000, 100_000)


def cost_of(work: Callable[[int], int], count: int) -> dict[str, float]:
    """CPU time of one operation, the least of three runs after a small one. work(n) does n
    operations or some more, and says how many.
    """
    work(min(count, 1000))
    costs = []
    for _ in range(3):
        start = time.process_time_ns()
        done = work(count)
        costs.append((time.process_time_ns() - start) / done)
    return {"ns": min(costs)}


# ---- fibril, gevent ----


def served(package: Any, queue_type: Any, waiters: int, count: int) -> Sample:
    """The tasks stay; only what puts and gets is measured."""
    queue = queue_type()
    got = 0

    def wait() -> None:
        nonlocal got
        while True:
            queue.get(timeout=AN_HOUR_S)
            got += 1

    def work(count: int) -> int:
        before = got
        for number in range(count):
            queue.put(number)
            package.sleep(0)
        package.sleep(0.001)
        return got - before

    tasks = [package.spawn(wait) for _ in range(waiters)]
    package.sleep(0)
    sample = cost_of(work, count)
    assert not any(task.ready() for task in tasks)
    return sample


def in_vain(package: Any, module: Any, waiters: int, effort: Effort) -> Sample:
    """Each times out, and waits again."""
    queue = module.Queue()
    over = 0

    def wait() -> None:
        nonlocal over
        while True:
            try:
                queue.get(timeout=SOON_S)
            except module.Empty:
                over += 1

    def work(count: int) -> int:
        before = over
        while over - before < count:
            package.sleep(SOON_S)
        return over - before

    tasks = [package.spawn(wait) for _ in range(waiters)]
    package.sleep(SOON_S)
    sample = cost_of(work, operations(waiters, effort))
    assert not any(task.ready() for task in tasks)
    return sample


def operations(waiters: int, effort: Effort) -> int:
    """Some for each waiter, and no fewer than make a chunk."""
    return max(waiters * 2, int(effort.chunk_s * 1_000_000))


def fibril_served(waiters: int, effort: Effort) -> Sample:
    import fibril
    from fibril.queue import Queue

    return served(fibril, Queue, waiters, operations(waiters, effort))


def fibril_in_vain(waiters: int, effort: Effort) -> Sample:
    import fibril
    import fibril.queue

    return in_vain(fibril, fibril.queue, waiters, effort)


def gevent_served(waiters: int, effort: Effort) -> Sample:
    import gevent
    from gevent.queue import Queue

    few = 2_000_000 // waiters  # each costs it some 7 ns for each who waits
    return served(gevent, Queue, waiters, few)


def gevent_in_vain(waiters: int, effort: Effort) -> Sample:
    import gevent
    import gevent.queue

    return in_vain(gevent, gevent.queue, waiters, effort)


# ---- asyncio ----


def asyncio_served(waiters: int, effort: Effort) -> Sample:
    loop = asyncio.new_event_loop()
    got = 0

    async def wait(queue: asyncio.Queue[int]) -> None:
        nonlocal got
        while True:
            async with asyncio.timeout(AN_HOUR_S):
                await queue.get()
            got += 1

    async def give(queue: asyncio.Queue[int], count: int) -> int:
        before = got
        for number in range(count):
            queue.put_nowait(number)
            await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        return got - before

    async def stand() -> tuple[asyncio.Queue[int], list[asyncio.Task[None]]]:
        queue: asyncio.Queue[int] = asyncio.Queue()
        tasks = [asyncio.create_task(wait(queue)) for _ in range(waiters)]
        await asyncio.sleep(0)
        return queue, tasks

    queue, tasks = loop.run_until_complete(stand())
    sample = cost_of(
        lambda count: loop.run_until_complete(give(queue, count)), operations(waiters, effort)
    )
    assert not any(task.done() for task in tasks)
    return sample


def case(waiters: int, is_served: bool) -> str:
    return f"{waiters:,} wait, {'served' if is_served else 'in vain'}"


def offers(function: Callable[[int, Effort], Sample], is_served: bool) -> contest.Contender:
    return {case(waiters, is_served): partial(function, waiters) for waiters in NUMBERS}


def beside(function: Callable[[int, Effort], Sample], is_served: bool) -> contest.Contender:
    """The figure of the second largest number, beside the largest."""
    return {case(NUMBERS[-1], is_served): partial(function, NUMBERS[-2])}


FEWER = f"fibril, of {NUMBERS[-2]:,}"
CONTEST = contest.Contest(
    name="waiters",
    title="Many waiters with timeouts",
    how="So many tasks wait in one queue.get(timeout=…); one put and get, or one timeout.",
    metrics=NANOSECONDS,
    contenders={
        "fibril": {**offers(fibril_served, True), **offers(fibril_in_vain, False)},
        FEWER: {**beside(fibril_served, True), **beside(fibril_in_vain, False)},
        "gevent": {**offers(gevent_served, True), **offers(gevent_in_vain, False)},
        "asyncio": offers(asyncio_served, True),
    },
    rounds_max=3,
)

if __name__ == "__main__":
    contest.main(CONTEST)
    os._exit(0)  # what it takes to end a hundred thousand parked tasks is not the question
