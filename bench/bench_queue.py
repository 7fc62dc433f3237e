"""Queue(3): a producer and a consumer with three places between them, so that both must wait."""

from __future__ import annotations

import asyncio
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of
from loops import on_both

PLACES = 3


def hand_over(package: Any, queue_type: Any, effort: Effort) -> Sample:
    def produce(queue: Any, count: int) -> None:
        for number in range(count):
            queue.put(number)

    def consume(queue: Any, count: int) -> None:
        for number in range(count):
            assert queue.get() == number

    def work(count: int) -> None:
        queue = queue_type(PLACES)
        tasks = [package.spawn(produce, queue, count), package.spawn(consume, queue, count)]
        package.joinall(tasks, raise_error=True)

    return cost_of(work, effort)


async def produce_async(queue: asyncio.Queue[int], count: int) -> None:
    for number in range(count):
        await queue.put(number)


async def consume_async(queue: asyncio.Queue[int], count: int) -> None:
    for number in range(count):
        assert await queue.get() == number


async def hand_over_async(count: int) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(PLACES)
    await asyncio.gather(produce_async(queue, count), consume_async(queue, count))


def fibril(effort: Effort) -> Sample:
    import fibril
    from fibril.queue import Queue

    return hand_over(fibril, Queue, effort)


def gevent(effort: Effort) -> Sample:
    import gevent
    from gevent.queue import Queue

    return hand_over(gevent, Queue, effort)


CASE = "one item, put and get"
ASYNCIO, UVLOOP = on_both(hand_over_async)

CONTEST = contest.Contest(
    name="queue",
    title="Queue of 3",
    how="One task puts, one gets, three places between them; per item.",
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
