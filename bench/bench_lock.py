"""Locks and events that nobody contends for: what the call itself costs.

The rival is what threading has in C: a Lock for the semaphore, an RLock. Its Event is Python, on a
Condition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of

Make = Callable[[], Any]  # imports whom it belongs to


def acquire_release(make: Make, effort: Effort) -> Sample:
    lock = make()

    def work(count: int) -> None:
        acquire, release = lock.acquire, lock.release
        for _ in range(count):
            acquire()
            release()

    return cost_of(work, effort)


def with_block(make: Make, effort: Effort) -> Sample:
    lock = make()

    def work(count: int) -> None:
        for _ in range(count):
            with lock:
                pass

    return cost_of(work, effort)


def set_wait_clear(make: Make, effort: Effort) -> Sample:
    event = make()

    def work(count: int) -> None:
        for _ in range(count):
            event.set()
            event.wait()
            event.clear()

    return cost_of(work, effort)


def weft_semaphore() -> Any:
    from weft.lock import Semaphore

    return Semaphore(1)


def weft_rlock() -> Any:
    from weft.lock import RLock

    return RLock()


def weft_event() -> Any:
    from weft.event import Event

    return Event()


def gevent_semaphore() -> Any:
    from gevent.lock import Semaphore

    return Semaphore(1)


def gevent_rlock() -> Any:
    from gevent.lock import RLock

    return RLock()


def gevent_event() -> Any:
    from gevent.event import Event

    return Event()


def threading_lock() -> Any:
    import threading

    return threading.Lock()


def threading_rlock() -> Any:
    import threading

    return threading.RLock()


def threading_event() -> Any:
    import threading

    return threading.Event()


CASES: dict[str, Callable[[Make, Effort], Sample]] = {
    "semaphore, acquire and release": acquire_release,
    "semaphore, with block": with_block,
    "RLock, acquire and release": acquire_release,
    "RLock, with block": with_block,
    "event, set, wait and clear": set_wait_clear,
}


def contender(semaphore: Make, rlock: Make, event: Make) -> dict[str, Callable[[Effort], Sample]]:
    makes = {"semaphore": semaphore, "RLock": rlock, "event": event}

    def sample_of(case: str) -> Callable[[Effort], Sample]:
        return lambda effort: CASES[case](makes[case.split(",")[0]], effort)

    return {case: sample_of(case) for case in CASES}


CONTEST = contest.Contest(
    name="lock",
    title="Locks without contention",
    how="One task takes what is free, and gives it back. The semaphore's rival is threading.Lock.",
    metrics=NANOSECONDS,
    contenders={
        "weft": contender(weft_semaphore, weft_rlock, weft_event),
        "gevent": contender(gevent_semaphore, gevent_rlock, gevent_event),
        "threading": contender(threading_lock, threading_rlock, threading_event),
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
