"""Waiter: one value or one exception for one waiting fiber, early or late."""

import gc
import weakref
from typing import Any

import pytest

from fibril import get_hub, getcurrent, sleep, spawn
from fibril.errors import BlockingSwitchOutError, ConcurrentObjectUseError
from fibril.event import AsyncResult, Event
from fibril.hub import Waiter
from tests.conftest import Growth, Sim


class Failure(Exception):
    pass


def later(fn: Any, *args: Any) -> None:
    get_hub().loop.timer(1).start(fn, *args)


def test_get_waits_for_the_value_that_a_callback_switches_in(sim: Sim) -> None:
    waiter = Waiter()
    later(waiter.switch, "value")
    assert waiter.get() == "value"
    assert not waiter.ready()  # it was handed over, not kept
    later(waiter.switch_args, 1, 2)
    assert waiter.get() == (1, 2)


def test_get_raises_what_a_callback_throws(sim: Sim) -> None:
    waiter = Waiter()
    error = Failure("instance")
    for arguments in ((Failure,), (error,), (Failure, "text"), (Failure, Failure("x"), None)):
        later(waiter.throw, *arguments)
        with pytest.raises(Failure):
            waiter.get()
        assert waiter.exc_info is None


def test_what_comes_early_is_kept_and_got_as_often_as_asked(sim: Sim) -> None:
    waiter = Waiter()
    assert (waiter.ready(), waiter.successful(), waiter.value) == (False, False, None)
    waiter.switch("early")
    assert (waiter.ready(), waiter.successful(), waiter.value) == (True, True, "early")
    assert [waiter.get(), waiter.get()] == ["early", "early"]
    waiter.throw(Failure, "late")
    assert (waiter.ready(), waiter.successful()) == (True, False)
    assert waiter.exc_info == (Failure, "late")
    with pytest.raises(Failure, match="late"):
        waiter.get()
    waiter.clear()
    assert (waiter.ready(), waiter.exc_info, waiter.value) == (False, None, None)


def test_a_second_fiber_that_waits_is_refused(sim: Sim) -> None:
    waiter = Waiter()
    first = spawn(waiter.get)
    sleep(0)
    assert waiter.greenlet is first
    with pytest.raises(ConcurrentObjectUseError, match="its own Waiter"):
        waiter.get()
    waiter.switch(1)
    assert first.get() == 1
    assert waiter.greenlet is None


def test_two_values_in_a_row_are_one_for_now_and_one_for_later(sim: Sim) -> None:
    waiter = Waiter()
    task = spawn(waiter.get)
    sleep(0)
    waiter.switch("first")
    waiter.switch("second")
    assert task.get() == "first"
    assert waiter.get() == "second"


def test_what_was_handed_to_a_fiber_that_is_killed_before_it_runs_is_kept(sim: Sim) -> None:
    waiter = Waiter()
    task = spawn(waiter.get)
    sleep(0)
    waiter.switch("value")
    task.kill()
    assert waiter.get() == "value"


def test_of_what_a_killed_fiber_has_not_seen_the_latest_is_kept(sim: Sim) -> None:
    waiter = Waiter()
    task = spawn(waiter.get)
    sleep(0)
    waiter.switch("first")
    waiter.switch("second")
    task.kill()
    assert waiter.get() == "second"


def test_a_fiber_that_was_killed_is_not_waited_with_any_more(sim: Sim) -> None:
    waiter = Waiter()
    task = spawn(waiter.get)
    sleep(0)
    task.kill()
    assert waiter.greenlet is None
    waiter.switch("for the next")
    assert waiter.get() == "for the next"


def test_get_in_a_callback_of_the_hub_is_refused(sim: Sim) -> None:
    caught: list[type] = []

    def callback() -> None:
        try:
            Waiter().get()
        except BaseException as error:
            caught.append(type(error))

    get_hub().loop.run_callback(callback)
    sleep(0)
    assert caught == [BlockingSwitchOutError]


def test_a_waiter_is_a_link(sim: Sim) -> None:
    waiter = Waiter(get_hub())
    spawn(lambda: 5).rawlink(waiter)
    assert waiter.get() == 5
    result = AsyncResult()
    result.rawlink(waiter)
    result.set_exception(Failure("told"))
    with pytest.raises(Failure, match="told"):
        waiter.get()


def test_a_waiter_tells_of_itself(sim: Sim) -> None:
    waiter = Waiter()
    assert "greenlet=None" in repr(waiter)
    waiter.switch("kept")
    assert "value='kept'" in repr(waiter)
    assert str(waiter) == "<Waiter greenlet=None value='kept'>"
    waiter.throw(Failure)
    assert "exc_info=" in repr(waiter)


def test_a_waiter_and_who_waits_on_it_may_be_collected(sim: Sim) -> None:
    waiter = Waiter()
    task = spawn(waiter.get)
    sleep(0)
    held = weakref.ref(task)
    del task, waiter
    gc.collect()
    sleep(0)
    gc.collect()
    assert held() is None


def test_waiters_leave_nothing_behind(sim: Sim, growth: Growth) -> None:
    event = Event()

    def use() -> None:
        waiter = Waiter()
        task = spawn(waiter.get)
        sleep(0)
        waiter.switch(getcurrent())
        task.join()
        waiter.throw(Failure)
        with pytest.raises(Failure):
            waiter.get()
        event.set()

    growth.refuse(use)
