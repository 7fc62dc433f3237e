"""Locks and events that nobody contends for: what the call itself costs.

The rival is what threading has in C: a Lock, for the semaphores too, and an RLock. Its Event is
Python, on a Condition. fibril's and gevent's lock is what stands for threading.Lock in a patched
program.
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
        for _ in range(count):
            lock.acquire()
            lock.release()

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


def fibril_semaphore() -> Any:
    from fibril.lock import Semaphore

    return Semaphore(1)


def fibril_bounded() -> Any:
    from fibril.lock import BoundedSemaphore

    return BoundedSemaphore(1)


def fibril_lock() -> Any:
    from fibril.thread import LockType

    return LockType()


def fibril_rlock() -> Any:
    from fibril.lock import RLock

    return RLock()


def fibril_event() -> Any:
    from fibril.event import Event

    return Event()


def gevent_semaphore() -> Any:
    from gevent.lock import Semaphore

    return Semaphore(1)


def gevent_bounded() -> Any:
    from gevent.lock import BoundedSemaphore

    return BoundedSemaphore(1)


def gevent_lock() -> Any:
    from gevent.thread import LockType

    return LockType()


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
    "bounded semaphore, acquire and release": acquire_release,
    "lock, acquire and release": acquire_release,
    "lock, with block": with_block,
    "RLock, acquire and release": acquire_release,
    "RLock, with block": with_block,
    "event, set, wait and clear": set_wait_clear,
}


MAKES: dict[str, dict[str, Make]] = {
    "fibril": {
        "semaphore": fibril_semaphore,
        "bounded semaphore": fibril_bounded,
        "lock": fibril_lock,
        "RLock": fibril_rlock,
        "event": fibril_event,
    },
    "gevent": {
        "semaphore": gevent_semaphore,
        "bounded semaphore": gevent_bounded,
        "lock": gevent_lock,
        "RLock": gevent_rlock,
        "event": gevent_event,
    },
    "threading": {
        "semaphore": threading_lock,
        "bounded semaphore": threading_lock,
        "lock": threading_lock,
        "RLock": threading_rlock,
        "event": threading_event,
    },
}


def contender(makes: dict[str, Make]) -> dict[str, Callable[[Effort], Sample]]:
    def sample_of(case: str) -> Callable[[Effort], Sample]:
        return lambda effort: CASES[case](makes[case.split(",")[0]], effort)

    return {case: sample_of(case) for case in CASES}


CONTEST = contest.Contest(
    name="lock",
    title="Locks without contention",
    how="One task takes what is free, and gives it back. The semaphores' rival is threading.Lock.",
    metrics=NANOSECONDS,
    contenders={name: contender(makes) for name, makes in MAKES.items()},
)

if __name__ == "__main__":
    contest.main(CONTEST)
