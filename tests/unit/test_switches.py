"""assert_switches and assert_no_switch: blocks that must let others run, and that must not."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import fibril
from fibril import Fiber, get_hub, getcurrent, sleep, spawn, spawn_later
from fibril._core import gettrace, settrace, watch
from fibril.errors import FailedToSwitch, UnexpectedSwitch
from fibril.event import Event
from fibril.queue import Queue
from fibril.testing import assert_no_switch, assert_switches
from tests.conftest import Growth, Sim


@pytest.fixture(autouse=True)
def no_tracer_is_left() -> Iterator[None]:
    yield
    assert settrace(None) is None


class Failure(Exception):
    pass


def fail() -> None:
    raise Failure


def ring(partner: Fiber) -> None:
    """A fiber that switches back by hand each time."""
    while True:
        partner.switch()


class Clock:
    """In the place of monotonic_ns: a test says how long something runs."""

    def __init__(self) -> None:
        self.now_ns = 0

    def run(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr("fibril.testing.switches.monotonic_ns", lambda: fake.now_ns)
    return fake


@contextmanager
def too_long(match: str, hub_only: bool = False) -> Iterator[pytest.ExceptionInfo[FailedToSwitch]]:
    """A block that must not run for more than a second, and does."""
    with pytest.raises(FailedToSwitch, match=match) as caught, assert_switches(1, hub_only):
        yield caught


@contextmanager
def unexpected(match: str) -> Iterator[pytest.ExceptionInfo[UnexpectedSwitch]]:
    """A block that must not switch, and does."""
    with pytest.raises(UnexpectedSwitch, match=match) as caught, assert_no_switch():
        yield caught


# ---- it must switch ----


def test_a_block_that_does_not_switch_fails_at_its_end(sim: Sim) -> None:
    line = sys._getframe().f_lineno + 2
    match = "main fiber neither waited nor switched"
    with pytest.raises(FailedToSwitch, match=match) as caught, assert_switches():
        sum(range(100))
    assert f"{__file__}:{line} in test_a_block_that_does_not" in str(caught.value)
    assert isinstance(caught.value, AssertionError)


def test_whatever_lets_others_run_is_enough(sim: Sim) -> None:
    queue: Queue[int] = Queue()
    spawn_later(10, getcurrent().switch)
    for wait in (
        lambda: sleep(0),
        lambda: sleep(1),
        lambda: spawn(int).join(),
        lambda: Event().wait(1),
        lambda: (spawn(queue.put, 1), queue.get()),
        lambda: Fiber(int).switch(),
        lambda: get_hub().switch(),
    ):
        with assert_switches():
            wait()


def test_to_switch_to_itself_is_not_enough(sim: Sim) -> None:
    with pytest.raises(FailedToSwitch), assert_switches():
        getcurrent().switch()


def test_an_exception_in_the_block_is_not_hidden(sim: Sim) -> None:
    with pytest.raises(Failure), assert_switches():
        raise Failure
    with pytest.raises(Failure), assert_switches(max_blocking_time=0.000001):
        raise Failure


def test_it_fails_in_tasks_as_well_and_names_them(sim: Sim, capsys: Any) -> None:
    def work() -> None:
        with assert_switches():
            pass

    task = spawn(work)
    task.join()
    assert isinstance(task.exception, FailedToSwitch)
    assert f'task "{task.name}"' in str(task.exception)


# ---- for no longer than that ----


def test_a_block_that_is_done_in_time_need_not_switch(sim: Sim, clock: Clock) -> None:
    with assert_switches(max_blocking_time=1):
        clock.run(0.9)


@pytest.mark.parametrize("lengths", [(1.5,), (0.5, 1.5), (1.5, 0.5), (0.1, 1.5, 0.1)])
def test_a_block_that_runs_for_too_long_fails_whenever_that_was(
    sim: Sim, clock: Clock, lengths: tuple[float, ...]
) -> None:
    with too_long(r"others could not run for 1\.5000 seconds"):
        for length in lengths:
            clock.run(length)
            sleep(0)


def test_the_times_between_switches_do_not_add_up(sim: Sim, clock: Clock) -> None:
    with assert_switches(max_blocking_time=1):
        for _ in range(10):
            clock.run(0.9)
            sleep(1)


def test_the_end_of_the_block_counts(sim: Sim, clock: Clock) -> None:
    with too_long("main fiber ran last"):
        sleep(0)
        clock.run(1.5)


def test_it_names_who_ran_for_so_long_and_until_where(sim: Sim, clock: Clock) -> None:
    def hog() -> None:
        clock.run(2)
        sleep(1)

    task = spawn(hog)
    with too_long("1 are allowed") as caught:
        sleep(1)
    line = hog.__code__.co_firstlineno + 2
    assert f'task "{task.name}" (hog) ran last, until {__file__}:{line} in hog' in str(caught.value)


def test_one_that_has_ended_since_is_named_too(sim: Sim, clock: Clock) -> None:
    spawn(clock.run, 2)
    with too_long("ran last, until its end"):
        sleep(1)


def test_sleep_does_not_count(fresh: None) -> None:
    began = time.monotonic()
    with assert_switches(max_blocking_time=10):
        spawn(sleep, 0.002)
        sleep(0.004)
        slept = fibril._core.slept_ns() / 1e9
    assert 0.003 < slept <= time.monotonic() - began


def test_hub_only_means_the_time_until_the_hub_runs(sim: Sim, clock: Clock) -> None:
    partner = Fiber(ring)
    partner.switch(getcurrent())

    def play() -> None:
        for _ in range(3):
            clock.run(0.5)
            partner.switch()

    with assert_switches(max_blocking_time=1):
        play()
    with too_long(r"the hub could not run for 1\.5000 seconds", hub_only=True):
        play()
    with assert_switches(max_blocking_time=1, hub_only=True):
        for _ in range(3):
            clock.run(0.5)
            sleep(0)


def test_a_fiber_that_ends_goes_to_its_parent_and_not_to_the_hub(sim: Sim, clock: Clock) -> None:
    with too_long(r"1\.6", hub_only=True):
        clock.run(0.8)
        Fiber(int).switch()
        clock.run(0.8)


def test_hub_only_without_a_time_has_no_effect(sim: Sim) -> None:
    with assert_switches(hub_only=True):
        Fiber(int).switch()


# ---- it must not ----


def test_a_block_that_is_not_left_passes(sim: Sim) -> None:
    spawn(int)
    with assert_no_switch():
        spawn(int)
        Event().set()
        Queue(None, [1]).get()
        getcurrent().switch()


def test_a_block_that_is_left_fails_and_names_where(sim: Sim) -> None:
    def pause() -> None:
        sleep(1)

    other = spawn(int)
    with unexpected("main fiber was left at") as caught:
        pause()
        sleep(2)
    line = pause.__code__.co_firstlineno + 1
    assert f'{__file__}:{line} in pause; task "{other.name}" (' in str(caught.value)
    assert isinstance(caught.value, AssertionError)


def test_a_wait_that_nobody_used_counts(sim: Sim) -> None:
    line = sys._getframe().f_lineno + 2
    with pytest.raises(UnexpectedSwitch, match="nobody ran then") as caught, assert_no_switch():
        sleep(0)
    assert f"{__file__}:{line} in test_a_wait_that" in str(caught.value)


def test_a_switch_by_hand_counts(sim: Sim) -> None:
    with pytest.raises(UnexpectedSwitch, match="main fiber was left"), assert_no_switch():
        Fiber(int).switch()


def test_a_failure_of_the_block_is_not_hidden_by_its_switch(sim: Sim, capsys: Any) -> None:
    with pytest.raises(Failure), assert_no_switch():
        spawn(fail).get()


# ---- several at once, and other tracers ----


def test_blocks_may_be_nested(sim: Sim) -> None:
    with assert_switches(), assert_switches():
        sleep(0)
    with assert_switches():
        sleep(0)
        with assert_no_switch():
            pass
    with pytest.raises(FailedToSwitch), assert_switches(), assert_no_switch():
        pass
    with pytest.raises(UnexpectedSwitch), assert_no_switch(), assert_switches():
        sleep(0)


def test_blocks_of_several_tasks_may_overlap(sim: Sim) -> None:
    def work(seconds: float) -> None:
        with assert_switches():
            sleep(seconds)

    tasks = [spawn(work, seconds) for seconds in (3, 1, 2)]
    fibril.joinall(tasks, raise_error=True)
    assert gettrace() is None


def test_a_block_can_be_entered_again_but_not_twice(sim: Sim) -> None:
    must, must_not = assert_switches(), assert_no_switch()
    for _ in range(2):
        with must:
            with pytest.raises(RuntimeError, match="it is entered"):
                must.__enter__()
            sleep(0)
        with must_not, pytest.raises(RuntimeError, match="it is entered"):
            must_not.__enter__()


def test_the_tracer_that_was_there_is_told_as_before_and_is_there_again(sim: Sim) -> None:
    events: list[str] = []

    def tracer(event: str, pair: tuple[Fiber, Fiber]) -> None:
        events.append(event)

    settrace(tracer)
    with assert_switches():
        sleep(0)  # it is not told of this one
        assert events == []
        Fiber(int).switch()
        assert events == ["switch", "switch"]
        task = spawn(sleep, 1)
        sleep(0)
        task.kill()
    assert settrace(None) is tracer
    assert events == ["switch"] * 4 + ["throw", "switch"]


def test_a_tracer_that_comes_meanwhile_stays(sim: Sim) -> None:
    def tracer(event: str, pair: tuple[Fiber, Fiber]) -> None:
        if former is not None:
            former(event, pair)

    with assert_switches():
        former = settrace(tracer)
        Fiber(int).switch()
        with assert_switches():
            sleep(0)
        assert gettrace() is tracer
    assert settrace(None) is tracer


def test_the_native_watch_tells_of_a_wait_that_nobody_used(sim: Sim) -> None:
    events: list[Any] = []

    def note(event: str, pair: tuple[Fiber, Fiber]) -> None:
        events.append((event, *pair))

    main = getcurrent()
    assert watch(note) is None
    sleep(1)
    sleep(0)
    assert events == [("stay", main, main)] * 2
    assert watch(note) is note
    assert settrace(note) is note
    sleep(1)
    assert len(events) == 2
    settrace(None)


def test_an_exception_that_ends_such_a_wait_arrives(sim: Sim) -> None:
    with assert_switches(), pytest.raises(fibril.Timeout), fibril.Timeout(1):
        Event().wait()


def test_a_tracer_that_fails_at_such_a_wait_is_removed_and_raises(sim: Sim) -> None:
    def fails(event: str, pair: tuple[Fiber, Fiber]) -> None:
        raise Failure(event)

    watch(fails)
    with pytest.raises(Failure, match="stay"):
        sleep(1)
    assert gettrace() is None
    sleep(1)


def test_blocks_leave_nothing_behind(sim: Sim, growth: Growth) -> None:
    def use() -> None:
        with assert_switches(), assert_switches(1.0):
            spawn(sleep).join()
            sleep(0)
        with pytest.raises(UnexpectedSwitch), assert_no_switch():
            sleep(0)

    growth.refuse(use)
