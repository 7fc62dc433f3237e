"""What is left behind: references, memory, stacks; long lines of objects; kills at every point."""

import random
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fibril import (
    Fiber,
    GreenletExit,
    Task,
    Timeout,
    getcurrent,
    joinall,
    sleep,
    spawn,
    spawn_later,
)
from fibril.event import AsyncResult, Event
from fibril.lock import RLock, Semaphore
from fibril.queue import Full, Queue
from tests.conftest import Growth, Interpreter, Sim, collect

LONG = 1000


class Failure(Exception):
    pass


class Canary:
    """Something whose references are counted."""


# ---- references ----


def test_arguments_results_and_exceptions_are_let_go(sim: Sim) -> None:
    def references(use: Callable[[Any], Any]) -> int:
        canary = Canary()
        before = sys.getrefcount(canary)
        for _ in range(20):
            use(canary)
        collect()
        return sys.getrefcount(canary) - before

    def raise_it(canary: Any) -> None:
        raise Failure(canary)

    def caught(call: Callable[[], Any]) -> None:
        with pytest.raises((Failure, Full)):
            call()

    uses: list[Callable[[Any], Any]] = [
        lambda canary: Fiber(lambda _: None).switch(canary),
        lambda canary: Fiber(lambda **_: None).switch(canary=canary),
        lambda canary: Fiber(lambda: canary).switch(),
        lambda canary: getcurrent().switch(canary),
        lambda canary: caught(lambda: Fiber(raise_it).switch(canary)),
        lambda canary: caught(lambda: Fiber(lambda: None).throw(Failure(canary))),
        lambda canary: Fiber(lambda: None).throw(GreenletExit(canary)),
        lambda canary: spawn(lambda _: None, canary).join(),
        lambda canary: spawn(lambda **_: None, canary=canary).join(),
        lambda canary: spawn(lambda: canary).get(),
        lambda canary: spawn(sleep, LONG).kill(GreenletExit(canary)),
        lambda canary: Task(lambda _: None, canary),
        lambda canary: Task(lambda _: None, canary).kill(),
        lambda canary: spawn_later(LONG, lambda _: None, canary).kill(),
        lambda canary: spawn(lambda: None).link(lambda _, c=canary: c),
        lambda canary: spawn(lambda: None).rawlink(lambda _, c=canary: c),
        lambda canary: Queue(1).put(canary),
        lambda canary: Queue(2, [canary]).get(),
        lambda canary: caught(lambda: spawn(Queue(1, [1]).put, canary, timeout=1).get()),
        lambda canary: AsyncResult().set(canary),
    ]
    assert [references(use) for use in uses] == [0] * len(uses)


@pytest.fixture
def everyday() -> list[Callable[[], Any]]:
    """What programs do all day, each step of which must leave nothing behind."""
    main_work: list[Callable[[], Any]] = [
        lambda: Fiber(lambda: None).switch(),
        lambda: Fiber(lambda: None),
        lambda: Fiber(lambda: None).throw(),
        lambda: spawn(lambda: None).join(),
        lambda: spawn(lambda: None),
        lambda: joinall([spawn(sleep, 1) for _ in range(3)]),
        lambda: joinall([spawn(sleep, 1) for _ in range(3)], count=2),
        lambda: joinall([spawn(sleep, 1)], timeout=0.5),
        lambda: spawn(sleep, LONG).kill(),
        lambda: spawn_later(1, lambda: None),
        lambda: (t := spawn(sleep, LONG), sleep(0), t.kill()),
        lambda: (t := spawn(sleep, LONG), sleep(0), t.kill(block=False)),
        lambda: (e := Event(), spawn(e.wait), sleep(0), e.set()),
        lambda: Event().wait(1),
        lambda: (q := Queue(), spawn(q.get), sleep(0), q.put(1), sleep(0)),
        lambda: (s := Semaphore(0), spawn(s.acquire), sleep(0), s.release(), sleep(0)),
        lambda: (r := RLock(), r.acquire(), spawn(r.acquire, timeout=1), sleep(2), r.release()),
        lambda: Timeout(1).start_new(1).cancel(),
        lambda: spawn(lambda: None).link(repr),
        lambda: spawn(lambda: None).rawlink(repr),
        lambda: spawn(spawn, sleep, 0),
        lambda: spawn(sleep, 1).gr_frame,
        lambda: repr(spawn(sleep, 0)),
    ]
    return main_work


def test_everyday_work_leaves_nothing_behind(
    sim: Sim, growth: Growth, everyday: list[Callable[[], Any]]
) -> None:
    for step in everyday:
        growth.refuse(lambda s=step: (s(), sleep(2)), times=20)


@pytest.mark.fibril_unseen_ok("what is noted would count")
def test_failures_leave_nothing_behind(
    sim: Sim, growth: Growth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)

    def once() -> None:
        def fail() -> None:
            raise Failure

        task = spawn(fail)
        with pytest.raises(Failure):
            task.get()
        with pytest.raises(Failure):
            Fiber(fail).switch()
        killed = spawn(sleep, LONG)
        sleep(0)
        killed.kill(Failure)

    growth.refuse(once)


def test_deep_data_stacks_are_given_back(sim: Sim, growth: Growth) -> None:
    def recurse(levels: int) -> None:
        if levels:
            recurse(levels - 1)
        else:
            sleep(0)

    growth.refuse(lambda: joinall([spawn(recurse, 400) for _ in range(3)]), times=20)


def test_frames_that_were_looked_at_leave_nothing_behind(sim: Sim, growth: Growth) -> None:
    main = getcurrent()

    def leave() -> None:
        main.switch()

    def once() -> None:
        task = spawn(sleep, 1)
        fiber = Fiber(leave)
        fiber.switch()
        sleep(0)
        assert fiber.gr_frame is not None
        assert task.gr_frame is None or task.gr_frame.f_code
        task.join()
        fiber.switch()

    growth.refuse(once)


# ---- long lines ----


def test_a_long_line_of_results_is_freed_without_overflow(sim: Sim) -> None:
    task = spawn(lambda: None)
    task.join()
    for _ in range(100_000):
        follower = spawn(lambda former=task: former)
        follower.join()
        task = follower
    box = [task]
    del task, follower
    assert Fiber(lambda: box.clear() or "freed").switch() == "freed"


def test_a_long_line_of_parents_is_freed_without_overflow() -> None:
    fiber = youngest = Fiber(lambda: None)
    for _ in range(50_000):
        older = Fiber(lambda: None)
        fiber.parent = older
        fiber = older
    box = [youngest]
    del fiber, older, youngest
    assert Fiber(lambda: box.clear() or "freed").switch() == "freed"


def test_a_long_line_of_links_is_freed_without_overflow(sim: Sim) -> None:
    task = Task(lambda: None)
    for _ in range(50_000):
        follower = Task(lambda: None)
        follower.link(task.link)
        task = follower
    box = [task]
    del task, follower
    assert Fiber(lambda: box.clear() or "freed").switch() == "freed"


# ---- collection at every allocation ----

SWITCH_HEAVY = """
    import gc, sys, fibril
    from contextvars import ContextVar
    from fibril import Fiber, Timeout, getcurrent, joinall, sleep, spawn, spawn_later
    from fibril.event import AsyncResult, Event
    from fibril.lock import RLock, Semaphore
    from fibril.queue import Full, Queue

    gc.set_threshold(1)
    variable = ContextVar("variable")

    def pump(queue, count):
        for number in range(count):
            variable.set([number])
            queue.put({"number": number})
            assert variable.get() == [number]
        queue.put(None)

    def drain(queue):
        total = 0
        while (item := queue.get()) is not None:
            total += item["number"]
        return total

    def cycle():
        box = [getcurrent()]
        try:
            box[0].parent.switch(box)
        finally:
            box.append({})

    def failing():
        try:
            raise ValueError([1])
        except ValueError as error:
            sleep(0)
            raise KeyError(error)

    def everything():
        queue, gate, lock = Queue(2), Semaphore(1), RLock()
        tasks = [spawn(pump, queue, 10), spawn(drain, queue)]
        def guarded():
            with gate, lock:
                sleep(0)
        tasks += [spawn(guarded) for _ in range(3)]
        for _ in range(3):
            Fiber(cycle).switch()
        ring = [Fiber(lambda: [getcurrent().parent.switch([n]) for n in range(5)])
                for _ in range(3)]
        for _ in range(5):
            for fiber in ring:
                fiber.switch()
        victim = spawn(sleep, 100)
        sleep(0)
        victim.kill()
        with Timeout(0, False):
            Event().wait()
        result = AsyncResult()
        spawn(result.set, {})
        result.get()
        spawn_later(0, result.set, 2)
        failed = spawn(failing)
        joinall([*tasks, failed])
        assert tasks[1].value == 45

    sys.stderr = None
    for _ in range({times}):
        everything()
    print("ok")
"""


def test_collecting_at_every_allocation_breaks_nothing(interpreter: Interpreter) -> None:
    assert interpreter.out(SWITCH_HEAVY.replace("{times}", "5")) == "ok\n"


def test_a_debug_allocator_finds_nothing(interpreter: Interpreter) -> None:
    """Freed memory is filled with a pattern, so what is used after it was freed shows."""
    program = SWITCH_HEAVY.replace("{times}", "5")
    assert interpreter.out(program, "-X", "dev", PYTHONMALLOC="debug") == "ok\n"


# ---- kills at every point ----


def walk_through_everything(log: list[str]) -> None:
    """Waits in each way there is; whatever it holds it gives back."""
    queue, gate, lock, event = Queue(1), Semaphore(1), RLock(), Event()
    try:
        for _ in range(3):
            with gate, lock:
                sleep(0)
            queue.put(1)
            event.wait(0.5)
            queue.get()
            spawn(event.set)
            event.wait()
            event.clear()
            with Timeout(0.5, False):
                Event().wait()
            spawn(lambda: sleep(0.1)).get()
            Fiber(lambda: sleep(0.1)).switch()
    finally:
        log.append(f"{gate.counter} {lock.locked()} {queue.qsize() <= 1}")


def test_a_kill_at_every_point_leaves_locks_free_and_hub_working(sim: Sim) -> None:
    killed = 0
    for moment in range(60):
        log: list[str] = []
        task = spawn(walk_through_everything, log)
        for _ in range(moment):
            sleep(0.05 if moment % 2 else 0)
        killed += not task.ready()
        task.kill()
        assert task.ready()
        assert log in (["1 False True"], [])
    assert killed > 10
    assert spawn(lambda: "alive").get() == "alive"


def test_random_kills_leave_nothing_behind(sim: Sim, growth: Growth) -> None:
    seed = 20260105
    generator = random.Random(seed)

    def once() -> None:
        tasks = [spawn(walk_through_everything, []) for _ in range(5)]
        for _ in range(generator.randrange(20)):
            sleep(generator.choice([0, 0, 0.05, 0.3]))
            generator.choice(tasks).kill(block=generator.random() < 0.5)
        for task in tasks:
            task.kill()
        sleep(2)

    growth.refuse(once, times=40)
