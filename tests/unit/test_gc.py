"""Collection: whatever nobody can reach is unwound and freed, and nothing that somebody can is."""

import gc
import re
import sys
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from fibril import Fiber, GreenletExit, Task, getcurrent, sleep, spawn, spawn_later
from fibril.event import AsyncResult, Event
from fibril.lock import Semaphore
from fibril.queue import Queue
from tests.conftest import Growth, Sim, collect

LONG = 1000


class Failure(Exception):
    pass


class Canary:
    """Something whose death shows."""


# ---- dropped fibers unwind ----


def test_a_dropped_fiber_unwinds_at_once() -> None:
    main = getcurrent()
    steps: list[str] = []

    def work() -> None:
        try:
            main.switch()
        except GreenletExit as error:
            steps.append(f"exit: {error}")
            raise
        finally:
            steps.append("finally")

    fiber = Fiber(work)
    fiber.switch()
    assert steps == []
    del fiber
    exit, last = steps  # another test may have imported greenlet: then its word is used
    assert re.fullmatch("exit: Killing the (fiber|greenlet) because all .* vanished.", exit)
    assert last == "finally"


def test_a_dropped_fiber_that_never_started_runs_nothing() -> None:
    ran: list[int] = []
    canary = Canary()
    reference = weakref.ref(canary)
    fiber = Fiber(lambda kept=canary: ran.append(1))
    del fiber, canary
    assert ran == []
    assert reference() is None


def test_context_managers_and_generators_of_a_dropped_fiber_close_in_order() -> None:
    main = getcurrent()
    steps: list[str] = []

    class Block:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            pass

        def __exit__(self, typ: type | None, *_: object) -> None:
            steps.append(f"{self.name} {typ.__name__ if typ else None}")

    def generate() -> Iterator[int]:
        with Block("generator"):
            yield 1

    def work() -> None:
        for _ in generate():
            with Block("outer"), Block("inner"):
                main.switch()

    fiber = Fiber(work)
    fiber.switch()
    del fiber
    assert steps == ["inner GreenletExit", "outer GreenletExit", "generator None"] or steps == [
        "inner GreenletExit",
        "outer GreenletExit",
        "generator GeneratorExit",
    ]


def test_dropping_keeps_the_exception_that_is_being_handled() -> None:
    main = getcurrent()

    def work() -> None:
        try:
            main.switch()
        finally:
            try:
                raise KeyError
            except KeyError:
                pass

    def drop_while_failing() -> None:
        fiber: Fiber | None = Fiber(work)
        fiber.switch()  # type: ignore[union-attr]
        try:
            raise Failure
        finally:
            fiber = None

    with pytest.raises(Failure) as caught:
        drop_while_failing()
    assert caught.value.__context__ is None


def test_an_exception_while_unwinding_is_reported_not_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main = getcurrent()
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: told.append(args.exc_type))

    def work() -> None:
        try:
            main.switch()
        finally:
            raise Failure

    fiber = Fiber(work)
    fiber.switch()
    del fiber
    assert told == [Failure]


def test_a_fiber_that_refuses_to_unwind_lives_on_if_somebody_wants_it() -> None:
    main = getcurrent()
    saved: list[Fiber] = []

    def work() -> str:
        try:
            main.switch()
        except GreenletExit:
            saved.append(getcurrent())
            main.switch()
        return "end"

    fiber = Fiber(work)
    fiber.switch()
    del fiber
    assert len(saved) == 1
    assert not saved[0].dead
    assert saved[0].switch() == "end"


def test_a_subclass_with_a_destructor_unwinds_too() -> None:
    main = getcurrent()
    steps: list[str] = []

    class Own(Fiber):
        def __del__(self) -> None:
            steps.append("destructor")

    def work() -> None:
        try:
            main.switch()
        finally:
            steps.append("finally")

    fiber = Own(work)
    fiber.switch()
    del fiber
    gc.collect()
    assert "finally" in steps


def test_dropping_one_drops_what_it_kept() -> None:
    """A line of suspended fibers, each kept only by the former."""
    main = getcurrent()
    steps: list[int] = []

    def work(number: int, kept: Fiber | None) -> None:
        try:
            main.switch(kept)
        finally:
            steps.append(number)

    line: Fiber | None = None
    for number in range(100):
        fiber = Fiber(work)
        fiber.switch(number, line)
        line = fiber
    del fiber, line
    collect()
    assert sorted(steps) == list(range(100))


# ---- cycles ----


def cycle_through_a_local(main: Fiber, steps: list[str]) -> None:
    def work() -> None:
        _me = getcurrent()
        try:
            main.switch()
        finally:
            steps.append("finally")

    Fiber(work).switch()


def cycle_through_the_arguments(main: Fiber, steps: list[str]) -> None:
    def work(box: list[Any]) -> None:
        try:
            main.switch()
        finally:
            steps.append("finally")

    box: list[Any] = []
    fiber = Fiber(work)
    box.append(fiber)
    fiber.switch(box)


def cycle_through_the_function(main: Fiber, steps: list[str]) -> None:
    def work() -> None:
        try:
            main.switch()
        finally:
            steps.append(str(bool(work)))

    work.fiber = Fiber(work)  # type: ignore[attr-defined]
    work.fiber.switch()  # type: ignore[attr-defined]


def cycle_through_an_attribute(main: Fiber, steps: list[str]) -> None:
    def work() -> None:
        try:
            main.switch()
        finally:
            steps.append("finally")

    fiber = Fiber(work)
    fiber.me = fiber  # type: ignore[attr-defined]
    fiber.switch()


def cycle_through_a_cell(main: Fiber, steps: list[str]) -> None:
    def work() -> None:
        def nested() -> Any:
            return fiber

        try:
            main.switch()
        finally:
            nested()
            steps.append("finally")

    fiber = Fiber(work)
    fiber.switch()


def cycle_through_a_handled_exception(main: Fiber, steps: list[str]) -> None:
    def work() -> None:
        try:
            raise Failure(getcurrent())
        except Failure:
            try:
                main.switch()
            finally:
                steps.append("finally")

    Fiber(work).switch()


def cycle_through_the_context(main: Fiber, steps: list[str]) -> None:
    variable: ContextVar[Any] = ContextVar("variable")

    def work() -> None:
        variable.set(getcurrent())
        try:
            main.switch()
        finally:
            steps.append("finally")

    Fiber(work).switch()


def cycle_through_a_parent(main: Fiber, steps: list[str]) -> None:
    def inner() -> None:
        try:
            main.switch()
        finally:
            steps.append("finally")

    def outer() -> None:
        child = Fiber(inner)
        child.switch()

    Fiber(outer).switch()


def cycle_through_a_generator(main: Fiber, steps: list[str]) -> None:
    def numbers() -> Iterator[Any]:
        me = getcurrent()
        try:
            yield me
        finally:
            steps.append("finally")

    def work() -> None:
        for _ in numbers():
            main.switch()

    Fiber(work).switch()


def cycle_of_two(main: Fiber, steps: list[str]) -> None:
    def work(_other: Fiber) -> None:
        try:
            main.switch()
        finally:
            steps.append("finally")

    first, second = Fiber(work), Fiber(work)
    first.switch(second)
    second.switch(first)


CYCLES: list[Any] = [
    cycle_through_a_local,
    cycle_through_the_arguments,
    cycle_through_the_function,
    cycle_through_an_attribute,
    cycle_through_a_cell,
    cycle_through_a_handled_exception,
    cycle_through_the_context,
    cycle_of_two,
    cycle_through_a_parent,
    cycle_through_a_generator,
]


@pytest.mark.parametrize("make", CYCLES)
def test_suspended_fibers_in_a_cycle_are_collected_and_unwound(
    make: Callable[[Fiber, list[str]], None], sim: Sim
) -> None:
    collect()
    steps: list[str] = []
    make(getcurrent(), steps)
    assert steps == []
    collect()
    assert len(steps) == (2 if make is cycle_of_two else 1)


@pytest.mark.parametrize("make", CYCLES)
def test_collecting_cycles_leaves_nothing_behind(
    make: Callable[[Fiber, list[str]], None], sim: Sim, growth: Growth
) -> None:
    def once() -> None:
        make(getcurrent(), [])
        collect()

    growth.refuse(once, times=20)


def wait_for_an_event(steps: list[str]) -> None:
    event = Event()
    event_holder = [event]

    def work() -> None:
        _me = getcurrent()
        try:
            event_holder[0].wait()
        finally:
            steps.append("finally")

    spawn(work)


def wait_for_a_queue(steps: list[str]) -> None:
    queue = Queue()

    def work() -> None:
        try:
            queue.get()
        finally:
            steps.append("finally")

    spawn(work)


def wait_for_room(steps: list[str]) -> None:
    queue = Queue(1, ["full"])

    def work() -> None:
        try:
            queue.put("more")
        finally:
            steps.append("finally")

    spawn(work)


def wait_for_a_permit(steps: list[str]) -> None:
    gate = Semaphore(0)

    def work() -> None:
        try:
            gate.acquire()
        finally:
            steps.append("finally")

    spawn(work)


def wait_for_each_other(steps: list[str]) -> None:
    tasks: list[Task] = []

    def work(other: int) -> None:
        try:
            sleep(0)
            tasks[other].join()
        finally:
            steps.append("finally")

    tasks += [spawn(work, 1), spawn(work, 0)]


def wait_for_a_result(steps: list[str]) -> None:
    result: AsyncResult = AsyncResult()

    def work() -> None:
        try:
            result.get()
        finally:
            steps.append("finally")

    spawn(work)


@pytest.mark.parametrize(
    "begin",
    [
        wait_for_an_event,
        wait_for_a_queue,
        wait_for_room,
        wait_for_a_permit,
        wait_for_each_other,
        wait_for_a_result,
    ],
)
def test_tasks_that_wait_for_what_nobody_else_knows_are_collected(
    begin: Callable[[list[str]], None], sim: Sim
) -> None:
    collect()
    steps: list[str] = []
    begin(steps)
    sleep(0)
    sleep(0)
    assert steps == []
    collect()
    assert set(steps) == {"finally"}


def test_tasks_that_somebody_may_wake_are_not_collected(sim: Sim) -> None:
    event, queue, gate = Event(), Queue(), Semaphore(0)
    done: list[str] = []
    for wait, name in ((event.wait, "event"), (queue.get, "queue"), (gate.acquire, "gate")):
        spawn(lambda w=wait, n=name: (w(), done.append(n)))
    spawn(lambda: (sleep(5), done.append("sleep")))
    spawn(lambda: (event.wait(5), done.append("event with timeout")))
    spawn_later(5, done.append, "later")
    sleep(0)
    collect()
    assert done == []
    event.set()
    queue.put(1)
    gate.release()
    sleep(10)
    assert sorted(done) == ["event", "event with timeout", "gate", "later", "queue", "sleep"]


def test_a_waiter_with_a_timeout_is_woken_by_the_clock_however_unreachable(sim: Sim) -> None:
    steps: list[str] = []

    def work() -> None:
        event = Event()
        steps.append(f"waited {event.wait(5)}")

    spawn(work)
    sleep(0)
    collect()
    sleep(10)
    assert steps == ["waited False"]


@pytest.mark.loses("the fiber and its stack: it refuses to end")
def test_an_unreachable_fiber_that_refuses_to_end_twice_does_no_harm(sim: Sim) -> None:
    main = getcurrent()
    steps: list[str] = []

    def work() -> None:
        _me = getcurrent()
        kept = {"kept": [1, 2, 3]}
        while True:
            try:
                main.switch()
            except GreenletExit:
                steps.append(str(kept))

    Fiber(work).switch()
    for _ in range(4):
        collect()
    assert steps
    assert set(steps) == {"{'kept': [1, 2, 3]}"}


@pytest.mark.loses("the fiber and its stack: it refuses to end")
def test_an_unreachable_task_that_refuses_to_end_does_no_harm(sim: Sim) -> None:
    steps: list[str] = []

    def work() -> None:
        event, kept = Event(), {"kept": [1, 2, 3]}
        while True:
            try:
                event.wait()
            except GreenletExit:
                steps.append(str(kept))

    spawn(work)
    sleep(0)
    for _ in range(4):
        collect()
    assert set(steps) == {"{'kept': [1, 2, 3]}"}


def test_a_finalizer_may_switch_and_spawn(sim: Sim) -> None:
    steps: list[str] = []

    class Busy:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            steps.append(Fiber(lambda: "from a fiber").switch())
            spawn(steps.append, "from a task")
            sleep(0)

    Busy()
    gc.collect()
    sleep(0)
    assert steps == ["from a fiber", "from a task"]


@pytest.mark.fibril_unseen_ok("its report is what counts")
def test_collection_in_the_middle_of_the_hubs_work_is_safe(sim: Sim) -> None:
    """The report of a task's failure runs Python while its fiber ends."""
    steps: list[str] = []

    class Noisy(Failure):
        def __str__(self) -> str:
            gc.collect()
            return "collected"

    def work() -> None:
        me = getcurrent()
        try:
            me.parent.switch()
        finally:
            steps.append("finally")

    def fail() -> None:
        Fiber(work).switch()
        raise Noisy

    spawn(fail).join()
    collect()
    assert steps == ["finally"]
