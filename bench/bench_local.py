"""Values of one's own: an attribute of a local, read and set, by the fiber that used it last.

The rival is what threading has in C.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of

Make = Callable[[], Any]  # imports whom it belongs to


def read(make: Make, effort: Effort) -> Sample:
    local = make()
    local.value = 1

    def work(count: int) -> None:
        for _ in range(count):
            local.value  # noqa: B018

    return cost_of(work, effort)


def change(make: Make, effort: Effort) -> Sample:
    local = make()

    def work(count: int) -> None:
        for _ in range(count):
            local.value = 1

    return cost_of(work, effort)


def fibril() -> Any:
    from fibril.local import local

    return local()


def gevent() -> Any:
    from gevent.local import local

    return local()


def threading() -> Any:
    import threading

    return threading.local()


def contender(make: Make) -> dict[str, Callable[[Effort], Sample]]:
    return {
        "read": lambda effort: read(make, effort),
        "set": lambda effort: change(make, effort),
    }


CONTEST = contest.Contest(
    name="local",
    title="Locals",
    how="An attribute of a local object, read and set, again and again by one task.",
    metrics=NANOSECONDS,
    contenders={
        "fibril": contender(fibril),
        "gevent": contender(gevent),
        "threading": contender(threading),
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
