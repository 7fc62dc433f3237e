"""Timeout: strikes once, in time, only its own fiber, and never outside its block."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from fibril import Timeout, sleep, spawn, spawn_later, with_timeout
from fibril.event import AsyncResult, Event
from fibril.lock import RLock, Semaphore
from fibril.queue import Queue
from fibril.timeout import Deadline
from tests.conftest import Sim

LONG = 1000


class Failure(Exception):
    pass


def fail() -> None:
    raise Failure


def settle() -> None:
    """Whatever was left over would strike here."""
    for _ in range(3):
        sleep(LONG)
    sleep(0)


def test_it_strikes_in_time(sim: Sim) -> None:
    began = sim.now()
    with pytest.raises(Timeout) as caught, Timeout(3) as timeout:
        sleep(LONG)
    assert caught.value is timeout
    assert sim.now() - began == pytest.approx(3)
    assert not timeout.pending
    settle()


def test_it_does_not_strike_what_ends_in_time(sim: Sim) -> None:
    with Timeout(3):
        sleep(2)
    settle()


def test_none_never_strikes(sim: Sim) -> None:
    with Timeout(None) as timeout:
        assert not timeout.pending
        sleep(10 * LONG)
    assert str(timeout) == ""


def test_zero_and_less_strike_at_the_next_wait(sim: Sim) -> None:
    for seconds in (0, -1, 0.0):
        with pytest.raises(Timeout), Timeout(seconds):
            sleep(1)
    settle()


def test_silent_ones_end_only_their_block(sim: Sim) -> None:
    steps = []
    with Timeout(1, False):
        sleep(LONG)
        steps.append("never")
    steps.append("after")
    assert steps == ["after"]
    with pytest.raises(Failure), Timeout(1, False):
        raise Failure
    settle()


@pytest.mark.parametrize("make", [lambda: Failure, Failure], ids=["class", "instance"])
def test_it_may_raise_something_else(make: Any, sim: Sim) -> None:
    with pytest.raises(Failure), Timeout(1, make()):
        sleep(LONG)
    settle()


def test_it_is_no_exception_that_is_swallowed_by_accident(sim: Sim) -> None:
    def swallow() -> None:
        try:
            sleep(LONG)
        except Exception:
            pytest.fail("a Timeout is no Exception")

    with pytest.raises(Timeout), Timeout(1):
        swallow()


def test_nested_ones_catch_only_their_own(sim: Sim) -> None:
    began = sim.now()
    with pytest.raises(Timeout) as caught, Timeout(1) as outer, Timeout(2, False):
        sleep(LONG)
    assert caught.value is outer
    with Timeout(5) as outer:
        with Timeout(1, False):
            sleep(LONG)
        sleep(1)
    assert sim.now() - began == pytest.approx(3)
    settle()


@pytest.mark.parametrize("count", [2, 3, 10])
def test_of_several_at_the_same_time_one_strikes(count: int, sim: Sim) -> None:
    def nest(levels: int) -> None:
        with Timeout(1):
            if levels == 0:
                sleep(LONG)
            else:
                nest(levels - 1)

    with pytest.raises(Timeout):
        nest(count)
    settle()


def test_a_timeout_and_a_kill_at_the_same_time_leave_nothing_behind(sim: Sim) -> None:
    steps: list[str] = []

    def work() -> None:
        try:
            with Timeout(1):
                sleep(LONG)
        except (Timeout, Failure) as error:
            steps.append(type(error).__name__)
        try:
            settle()
        except Failure:
            steps.append("killed later")
        settle()

    task = spawn(work)
    sleep(0)
    killer = spawn(lambda: (sleep(1), task.kill(Failure, block=False)))
    killer.join()
    task.join()
    assert steps in (["Failure"], ["Timeout", "killed later"])


def test_cancelled_it_does_not_strike_and_may_start_again(sim: Sim) -> None:
    timeout = Timeout(1)
    timeout.start()
    with pytest.raises(AssertionError, match="already started"):
        timeout.start()
    assert timeout.pending
    timeout.cancel()
    timeout.cancel()
    assert not timeout.pending
    settle()
    timeout.start()
    with pytest.raises(Timeout):
        sleep(LONG)
    timeout.close()
    settle()


def test_start_new_takes_seconds_or_a_timeout(sim: Sim) -> None:
    first = Timeout.start_new(1)
    assert Timeout.start_new(first) is first
    first.cancel()
    assert Timeout.start_new(first) is first
    assert first.pending
    Timeout.start_new(0.5, Failure)
    with pytest.raises(Failure):
        sleep(LONG)
    first.cancel()
    settle()


def test_it_strikes_the_fiber_that_started_it(sim: Sim) -> None:
    struck: list[str] = []

    def work(name: str, seconds: int) -> None:
        try:
            with Timeout(seconds):
                sleep(5)
        except Timeout:
            struck.append(name)

    tasks = [spawn(work, "short", 1), spawn(work, "long", 9), spawn(work, "middle", 3)]
    for task in tasks:
        task.get()
    assert struck == ["short", "middle"]


def test_a_timeout_started_by_one_fiber_may_be_cancelled_by_another(sim: Sim) -> None:
    timeouts: list[Timeout] = []

    def work() -> str:
        timeouts.append(Timeout.start_new(2))
        sleep(5)
        return "undisturbed"

    task = spawn(work)
    sleep(1)
    timeouts[0].cancel()
    assert task.get() == "undisturbed"


def test_it_strikes_a_fiber_that_is_ready_already(sim: Sim) -> None:
    """The event is set at the very moment: the wait counts for nothing, but nothing is lost."""
    event = Event()

    def work() -> str:
        try:
            with Timeout(1):
                event.wait()
                return "waited"
        except Timeout:
            return "struck"

    task = spawn(work)
    sleep(0)
    spawn(lambda: (sleep(1), event.set()))
    assert task.get() in ("waited", "struck")
    settle()


def test_what_was_handed_over_to_a_struck_fiber_goes_to_the_next(sim: Sim) -> None:
    for order in (0, 1):
        queue, gate = Queue(), Semaphore(0)

        def take(get: Callable[[], Any]) -> Any:
            try:
                with Timeout(1):
                    return get()
            except Timeout:
                return "struck"

        calls = (queue.get, gate.acquire) if order else (gate.acquire, queue.get)
        tasks = [spawn(take, get) for get in calls]
        sleep(1 - 1e-9)
        task = spawn(take, queue.get), spawn(take, gate.acquire)
        sleep(1e-9)
        queue.put("item")
        gate.release()
        results = [task.get() for task in (*tasks, *task)]
        assert results.count("item") == 1
        assert results.count(True) == 1
        assert queue.qsize() == 0
        assert gate.counter == 0


@pytest.mark.parametrize(
    "wait",
    [
        lambda: sleep(LONG),
        lambda: Event().wait(),
        lambda: Queue().get(),
        lambda: Queue(1, ["full"]).put(1),
        lambda: Semaphore(0).acquire(),
        lambda: AsyncResult().get(),
        lambda: spawn(sleep, LONG).join(),
        lambda: spawn(sleep, LONG).get(),
        lambda: (
            spawn(lambda: [sleep(LONG) for _ in iter(int, 1)]).kill(Failure)
            if False
            else Event().wait()
        ),
        lambda: [sleep(0) for _ in iter(int, 1)],
    ],
)
def test_it_strikes_every_kind_of_wait(wait: Callable[[], Any], sim: Sim) -> None:
    seconds = 0 if "iter" in wait.__code__.co_names else 1  # the clock stands while it spins
    with pytest.raises(Timeout), Timeout(seconds):
        wait()
    settle()


def test_a_lock_is_not_taken_by_a_struck_fiber(sim: Sim) -> None:
    lock = RLock()
    lock.acquire()

    def take() -> bool:
        with Timeout(1, False):
            return lock.acquire()
        return False

    task = spawn(take)
    assert task.get() is False
    lock.release()
    assert not lock.locked()


def test_a_fiber_that_does_not_wait_is_struck_at_its_next_wait(sim: Sim) -> None:
    other = spawn(lambda: (sleep(1), [sleep(0) for _ in range(300)]))
    timeout = Timeout.start_new(2)
    other.join()
    with pytest.raises(Timeout):
        sleep(LONG)
    assert not timeout.pending


def test_with_timeout_returns_the_value_or_what_stands_for_it(sim: Sim) -> None:
    assert with_timeout(1, lambda *args, **kwargs: (args, kwargs), 1, a=2) == ((1,), {"a": 2})
    assert with_timeout(1, sleep, LONG, timeout_value="late") == "late"
    with pytest.raises(Timeout):
        with_timeout(1, sleep, LONG)
    with pytest.raises(Failure):
        with_timeout(1, fail, timeout_value="late")
    settle()


def test_with_timeout_does_not_swallow_anothers_timeout(sim: Sim) -> None:
    with pytest.raises(Timeout) as caught, Timeout(1) as outer:
        with_timeout(2, sleep, LONG, timeout_value="late")
    assert caught.value is outer


@pytest.mark.parametrize("wrong", ["soon", object(), b"1"])
def test_what_is_no_number_is_refused(wrong: Any, sim: Sim) -> None:
    with pytest.raises(TypeError):
        Timeout(wrong).start()
    with pytest.raises(ValueError, match="nan"):
        Timeout(float("nan")).start()


def test_text_and_repr_tell_what_it_is(sim: Sim) -> None:
    assert str(Timeout(1)) == "1 second"
    assert str(Timeout(2)) == "2 seconds"
    assert str(Timeout(1.5, False)) == "1.5 seconds (silent)"
    timeout = Timeout(3)
    assert "pending" not in repr(timeout)
    timeout.start()
    assert "pending" in repr(timeout)
    timeout.cancel()


def test_a_pending_timer_keeps_itself_alive_and_a_done_one_does_not(sim: Sim) -> None:
    def make() -> None:
        Timeout(1, Failure()).start()

    make()
    gc.collect()
    with pytest.raises(Failure):
        sleep(LONG)


def test_a_constructor_that_starts_the_same_timeout_makes_the_second_start_fail(sim: Sim) -> None:
    class Sly(Exception):
        def __init__(self) -> None:
            if not timeout.pending:
                timeout.exception = None
                timeout.start()

    timeout = Timeout(1, Sly)
    with pytest.raises(AssertionError, match="already started"):
        timeout.start()
    with pytest.raises(Timeout) as caught:
        sleep(LONG)
    assert caught.value is timeout


def test_a_pending_timeout_of_a_thread_that_ends_is_freed(fresh: None) -> None:
    freed: list[str] = []

    class Mine(Timeout):
        def __del__(self) -> None:
            freed.append("freed")

    def start() -> None:
        Mine(LONG).start()

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    gc.collect()
    assert freed == ["freed"]


def test_attributes_may_be_set_and_the_cycle_is_collected(sim: Sim) -> None:
    timeout = Timeout(LONG)
    timeout.seconds, timeout.exception = 1, Failure
    timeout.itself = timeout  # type: ignore[attr-defined]  # an exception takes any attribute
    with pytest.raises(Failure), timeout:
        sleep(LONG)
    assert timeout.args == ()
    held = weakref.ref(timeout)
    del timeout
    gc.collect()
    assert held() is None


def test_a_timer_whose_fiber_has_ended_strikes_nobody(sim: Sim) -> None:
    def work() -> None:
        Timeout.start_new(5)

    spawn(work).join()
    settle()


def test_timeouts_left_behind_do_not_grow(sim: Sim, growth: Any) -> None:
    def once() -> None:
        with Timeout(1, False):
            sleep(2)
        with Timeout(5):
            sleep(1)
        left = Timeout.start_new(1)
        left.cancel()
        spawn(Timeout.start_new, 1).join()
        sleep(2)

    growth.refuse(once)


# ---- Deadline ----


def test_what_another_thread_does_before_the_event_is_cleared_is_seen(sim: Sim) -> None:
    done: list[str] = []

    class Beaten(Event):
        def clear(self) -> None:
            done.append("by another thread, since it was asked")
            self.set()
            super().clear()

    began = sim.now()
    assert Deadline(5).wait_until(lambda: bool(done), Beaten()) is True
    assert sim.now() == began


def test_a_wait_goes_on_while_it_is_not_so_and_ends_in_time(sim: Sim) -> None:
    steps: list[int] = []
    news = Event()

    def step(number: int) -> None:
        steps.append(number)
        news.set()

    for number in range(4):
        spawn_later(number, step, number)
    began = sim.now()
    assert Deadline(5).wait_until(lambda: len(steps) > 2, news) is True
    assert sim.now() - began == pytest.approx(2)
    assert Deadline(5).wait_until(lambda: len(steps) > 9, news) is False
    assert sim.now() - began == pytest.approx(7)
    assert Deadline(0).wait_until(lambda: bool(steps), news) is True
