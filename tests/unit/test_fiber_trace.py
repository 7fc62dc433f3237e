"""settrace(): what greenlet has no counterpart for: switches that the hub makes.

Switches by hand are compared to greenlet's own events in tests/compat/test_greenlet_twin.py.
"""

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from fibril import Fiber, Task, get_hub, getcurrent, sleep, spawn
from fibril._core import gettrace, settrace
from fibril.event import Event
from fibril.lock import Semaphore
from tests.conftest import Growth


class Failure(Exception):
    pass


Events = list[tuple[str, Fiber, Fiber]]


@pytest.fixture(autouse=True)
def no_tracer_is_left() -> Iterator[None]:
    yield
    assert settrace(None) is None


def traced(run: Callable[[], Any]) -> Events:
    """The events while run() runs; each is told in its target, which runs then."""
    events: Events = []

    def tracer(event: str, pair: tuple[Fiber, Fiber]) -> None:
        assert pair[1] is getcurrent()
        events.append((event, *pair))

    assert settrace(tracer) is None
    try:
        run()
    finally:
        assert settrace(None) is tracer
    return events


def is_chain(events: Events) -> bool:
    """Whoever was left is who was told to run before."""
    return all(first[2] is second[1] for first, second in pairwise(events))


def test_parks_starts_and_ends_of_tasks_are_told(sim: None) -> None:
    main = getcurrent()
    tasks: list[Task] = []

    def run() -> None:
        tasks.extend(spawn(sleep, n / 10) for n in range(3))
        for task in tasks:
            task.join()

    events = traced(run)
    assert is_chain(events)
    assert events[0][1] is events[-1][2] is main
    assert {event for event, _, _ in events} == {"switch"}
    assert {target for _, _, target in events} == {main, *tasks}


def test_a_park_that_nobody_interrupts_is_no_switch(sim: None) -> None:
    assert traced(lambda: sleep(1)) == []


def test_callbacks_are_told_as_switches_to_the_hub(sim: None) -> None:
    hub, main = get_hub(), getcurrent()
    event = Event()

    def run() -> None:
        hub.call_soon(event.set)
        event.wait()

    assert traced(run) == [("switch", main, hub), ("switch", hub, main)]


@pytest.mark.fibril_unseen_ok("the failure is what kills it")
def test_a_kill_is_told_as_a_throw(sim: None) -> None:
    main = getcurrent()
    task = spawn(sleep, 1)
    sleep(0)
    assert ("throw", main, task) in traced(lambda: task.kill(Failure))


def test_a_tracer_may_wait(sim: None) -> None:
    waited: list[str] = []

    def tracer(event: str, pair: tuple[Fiber, Fiber]) -> None:
        if len(waited) < 10:
            waited.append(event)
            sleep(0)

    tasks = [spawn(sleep, 0) for _ in range(5)]
    settrace(tracer)
    for task in tasks:
        task.join()
    settrace(None)
    assert len(waited) == 10


def test_a_tracer_that_fails_is_removed_and_raises_in_the_target(sim: None) -> None:
    def fails(event: str, pair: tuple[Fiber, Fiber]) -> None:
        raise Failure(event)

    task = spawn(int)
    settrace(fails)
    task.join()  # the task is the first target, and dies of it
    assert isinstance(task.exception, Failure)
    assert gettrace() is None


def test_what_was_handed_over_is_not_lost_when_the_tracer_fails(sim: None) -> None:
    gate = Semaphore(0)
    got: list[Task] = []

    def wait() -> None:
        gate.acquire()
        got.append(getcurrent())  # type: ignore[arg-type]

    first, second = spawn(wait), spawn(wait)
    sleep(0)

    def fails(event: str, pair: tuple[Fiber, Fiber]) -> None:
        if pair[1] is first:
            raise Failure(event)

    gate.release()
    settrace(fails)
    second.join()
    assert got == [second]
    assert isinstance(first.exception, Failure)


def test_tracing_leaves_nothing_behind(sim: None, growth: Growth) -> None:
    def everyday() -> None:
        def bounce() -> None:
            getcurrent().parent.switch()  # type: ignore[union-attr]

        def run() -> None:
            fiber = Fiber(bounce)
            fiber.switch()
            spawn(sleep, 0).join()
            with pytest.raises(Failure):
                Fiber(fail).switch()
            del fiber  # unwound

        assert len(traced(run)) >= 6

    def fail() -> None:
        raise Failure

    growth.refuse(everyday)


def test_lines_of_a_tracer_are_not_seen_by_sys_settrace(sim: None) -> None:
    seen: list[str] = []

    def lines(frame: Any, event: str, argument: object) -> Any:
        seen.append(frame.f_code.co_name)
        return lines

    def tracer(event: str, pair: tuple[Fiber, Fiber]) -> None:
        pass

    def body() -> None:
        pass

    former = sys.gettrace()
    settrace(tracer)
    sys.settrace(lines)
    Fiber(body).switch()
    sys.settrace(former)
    settrace(None)
    assert "body" in seen
    assert "tracer" not in seen
