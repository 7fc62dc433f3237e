"""wait and iwait: what is ready first comes first, and no link stays behind."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril import Task, iwait, joinall, sleep, spawn, spawn_later, wait
from fibril.event import AsyncResult, Event
from fibril.lock import Semaphore
from fibril.queue import Channel, Queue
from tests.conftest import Growth, Sim


def test_wait_returns_what_is_ready_in_that_order(sim: Sim) -> None:
    tasks = [spawn(sleep, seconds) for seconds in (3, 1, 2)]
    assert wait(tasks) == [tasks[1], tasks[2], tasks[0]]
    assert wait([]) == []


def test_wait_takes_whatever_tells_by_a_link(sim: Sim) -> None:
    event, permits, result = Event(), Semaphore(0), AsyncResult()
    steps: list[Callable[[], object]] = [permits.release, result.set, event.set]
    for second, step in enumerate(steps, 1):
        spawn_later(second, step)
    assert wait([event, permits, result]) == [permits, result, event]
    assert wait([event, permits, result], timeout=0.1) == [event, permits, result]


def test_wait_ends_without_the_rest_when_its_time_is_over_or_enough_are_ready(sim: Sim) -> None:
    tasks = [spawn(sleep, seconds) for seconds in (1, 2, 30)]
    assert wait(tasks, count=1) == tasks[:1]
    assert wait(tasks, timeout=5) == tasks[:2]
    assert sim.now() < 10
    assert not any(task.has_links() for task in tasks)


def test_wait_that_is_killed_leaves_no_link(sim: Sim) -> None:
    event = Event()
    task = spawn(wait, [event])
    sleep(0)
    task.kill()
    held = weakref.ref(task)
    del task
    sleep(0)
    gc.collect()
    assert held() is None  # a link would keep its iterator, and so nobody else
    event.set()


def test_wait_is_told_of_a_permit_that_comes_back_from_who_was_killed(sim: Sim) -> None:
    permits = Semaphore(0)
    acquirer = spawn(permits.acquire)
    sleep(0)
    waiter = spawn(wait, [permits])
    sleep(0)
    permits.release()
    acquirer.kill(block=False)
    assert waiter.get(timeout=1) == [permits]


def test_wait_refuses_what_cannot_tell_and_links_to_nothing_then(sim: Sim) -> None:
    task = spawn(sleep, 1)
    with pytest.raises(TypeError, match=r"cannot wait for <object object .*rawlink"):
        wait([task, object()])
    assert not task.has_links()


@pytest.mark.parametrize("call", [wait, iwait, joinall])
def test_one_alone_is_refused_in_words(call: Any, sim: Sim) -> None:
    with pytest.raises(TypeError, match=rf"{call.__name__} takes several. Give a list"):
        call(spawn(int))
    with pytest.raises(TypeError, match=r"A function is started first: spawn\(fn\)"):
        call([int])


def test_iwait_lets_go_of_the_rest_at_the_end_of_the_block(sim: Sim) -> None:
    tasks = [spawn(sleep, seconds) for seconds in (2, 1)]
    with iwait(tasks) as ready:
        assert next(ready) is tasks[1]
    assert not tasks[0].has_links()
    assert list(ready) == []


def test_iwait_that_is_killed_while_it_waits_can_be_called_again(sim: Sim) -> None:
    event = Event()
    ready = iwait([event])
    impatient = spawn(next, ready)
    sleep(0)
    impatient.kill()
    event.set()
    assert list(ready) == [event]


def test_wait_is_told_of_what_another_native_thread_makes_ready(fresh: None) -> None:
    event, permits, result = Event(), Semaphore(0), AsyncResult()

    def make_ready() -> None:  # and end, without ever waiting
        event.set()
        permits.release()
        result.set(1)

    task = spawn(wait, [event, permits, result])
    sleep(0)
    threading.Thread(target=make_ready).start()
    assert task.get(timeout=10) == [event, permits, result]


def test_a_link_of_a_thread_that_has_ended_is_passed_over(fresh: None) -> None:
    event, result = Event(), AsyncResult()
    told: list[object] = []

    def link() -> None:
        event.rawlink(told.append)
        result.rawlink(told.append)

    thread = threading.Thread(target=link)
    thread.start()
    thread.join()
    event.set()
    result.set()
    sleep(0)
    assert told == []


def test_waits_leave_nothing_behind(sim: Sim, growth: Growth) -> None:
    event, permits = Event(), Semaphore(0)

    def use() -> None:
        assert wait([event, permits, spawn(int)], timeout=1) != []
        with iwait([event]):
            pass

    growth.refuse(use)


@pytest.mark.parametrize("make", [Event, AsyncResult, lambda: Semaphore(0)])
def test_links_are_counted_and_the_hub_is_that_of_who_asks(
    sim: Sim, make: Callable[[], Any]
) -> None:
    subject = make()
    assert subject.hub is None  # nobody has waited
    assert subject.linkcount() == 0
    subject.rawlink(print)
    assert subject.linkcount() == 1
    waiter = spawn(subject.wait)
    sleep(0)
    assert subject.linkcount() == 2
    waiter.kill()
    subject.unlink(print)
    assert subject.linkcount() == 0
    assert subject.hub is Queue().hub is Channel().hub is fibril.get_hub()
    assert spawn(int).loop is fibril.get_hub().loop


def test_a_link_may_be_taken_back_until_it_is_called(sim: Sim) -> None:
    for make in (Event, AsyncResult, lambda: Semaphore(0), lambda: Task(int)):
        subject: Any = make()
        told: list[str] = []

        def first(_: Any) -> None:
            told.append("first")  # noqa: B023  # called before the next one is made
            subject.unlink(second)  # noqa: B023

        def second(_: Any) -> None:
            told.append("second")  # noqa: B023

        for link in (first, second, second):
            subject.rawlink(link)
        for name in ("set", "release", "start"):
            getattr(subject, name, int)()
        sleep(0)
        sleep(0)
        assert told == ["first", "second"]
        subject.rawlink(second)  # told at once, as it is ready
        subject.unlink(second)
        sleep(0)
        assert told == ["first", "second"]


class _Garbage:
    """In a cycle; says so when it is collected."""

    def __init__(self, tell: Callable[[], Any]) -> None:
        self.tell, self.itself = tell, self

    def __del__(self) -> None:
        self.tell()


@pytest.mark.parametrize("name", ["event", "semaphore", "result", "task"])
def test_what_a_collection_makes_ready_while_somebody_links_is_told(sim: Sim, name: str) -> None:
    """On CPython 3.11 a collection may begin in any allocation, also in that of the link."""
    for _ in range(20):
        event, semaphore, result, task = Event(), Semaphore(0), AsyncResult(), Task(int)
        subject, make_ready = {
            "event": (event, event.set),
            "semaphore": (semaphore, semaphore.release),
            "result": (result, result.set),
            "task": (task, task.kill),
        }[name]
        told: list[Any] = []
        note = told.append
        gc.collect()
        _Garbage(make_ready)
        former = gc.get_threshold()
        gc.set_threshold(1)
        try:
            subject.rawlink(note)
        finally:
            gc.set_threshold(*former)
        gc.collect()
        sleep(0)
        assert told == [subject]
