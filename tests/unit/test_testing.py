"""fibril.testing.SimClock: a world where time costs nothing, and its borders.

These tests enter worlds by themselves, most of them in the main thread, as users' tests do.
"""

import os
import socket as stdlib_socket
import threading
import time as stdlib_time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fibril
from fibril import Fiber, LoopExit, Timeout, _core, get_hub, native, sleep, spawn
from fibril.event import AsyncResult, Event
from fibril.lock import Semaphore
from fibril.queue import Empty, Queue
from fibril.testing import SimClock, simulated, wait_all_parked
from fibril.threadpool import ThreadPool
from fibril.time import sleep as patched_sleep
from tests.conftest import Growth, Interpreter

HOUR_S = 3600.0
DAY_S = 86400.0
POOL = ThreadPool(1)


@pytest.fixture(autouse=True)
def it_ends_in_the_real_world() -> Iterator[None]:
    yield
    assert get_hub().poller == "epoll"
    assert get_hub().waiting() == []


def use_for_real() -> None:
    """Makes the hub ask the kernel: somebody waits for a descriptor, and for time."""
    left, right = stdlib_socket.socketpair()
    with left, right:
        reader = spawn(_core.wait_read, left.fileno(), 10)
        sleep(0)
        right.send(b"x")
        assert reader.get() is True
        assert spawn(_core.wait_read, right.fileno(), 0.001).get() is False


# ---- time ----


def test_time_passes_only_when_everybody_waits() -> None:
    with SimClock() as clock:
        assert clock.now() == 0
        sum(range(10000))
        assert clock.now() == 0
        sleep(DAY_S)
        assert clock.now() == DAY_S


def test_whatever_waits_takes_its_time_from_it() -> None:
    with SimClock() as clock:
        with Timeout(HOUR_S, False):
            Event().wait()
        assert clock.now() == HOUR_S
        with pytest.raises(Empty):
            Queue().get(timeout=HOUR_S)
        assert clock.now() == 2 * HOUR_S
        assert Semaphore(0).acquire(timeout=HOUR_S) is False
        with pytest.raises(Timeout):
            AsyncResult().get(timeout=HOUR_S)
        assert clock.now() == 4 * HOUR_S
        patched_sleep(HOUR_S)
        waiting = spawn(Event().wait)
        assert fibril.joinall([waiting], timeout=HOUR_S) == []
        assert clock.now() == 6 * HOUR_S
        waiting.kill()
        assert _core.wait_read(0, HOUR_S) is False
        fibril.spawn_later(HOUR_S, int).join()
        assert clock.now() == 8 * HOUR_S


def test_standard_clocks_tell_the_real_time() -> None:
    began = stdlib_time.monotonic()
    with SimClock():
        sleep(DAY_S)
    assert stdlib_time.monotonic() - began < HOUR_S


def test_who_waits_for_the_same_moment_runs_in_the_order_of_asking() -> None:
    order: list[Any] = []
    with SimClock() as clock:
        for name, seconds in ("a", 2), ("b", 1), ("c", 2), ("d", 0.5), ("e", 1):
            fibril.spawn_later(seconds, lambda name=name: order.append((clock.now(), name)))
        clock.advance(2)
    assert order == [(0.5, "d"), (1, "b"), (1, "e"), (2, "a"), (2, "c")]


def test_advance_runs_what_is_due_until_that_moment_and_no_further() -> None:
    ticks: list[float] = []

    def tick(clock: SimClock) -> None:
        while True:
            sleep(1)
            ticks.append(clock.now())

    with SimClock() as clock:
        spawn(tick, clock)
        clock.advance(3)  # what is started after the advance and due with it runs as well
        assert ticks == [1, 2, 3]
        assert clock.now() == 3
        clock.advance(0.5)
        assert ticks == [1, 2, 3]
        clock.advance(0)
        assert clock.now() == 3.5


def test_advance_runs_what_is_due_now_when_no_time_passes() -> None:
    with SimClock() as clock:
        tasks = [spawn(sleep, 0), fibril.spawn_later(0, spawn, sleep)]
        clock.advance(0)
        assert [task.ready() for task in tasks] == [True, True]
        assert clock.now() == 0


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_time_does_not_go_backwards(seconds: float) -> None:
    with SimClock() as clock, pytest.raises(ValueError, match="backwards"):
        clock.advance(seconds)


def test_parts_of_seconds_are_exact_whenever_it_begins() -> None:
    for _ in range(3):
        with SimClock() as clock:
            for _ in range(10):
                sleep(0.1)
            waiting = spawn(Event().wait)
            fibril.joinall([waiting], timeout=0.3)
            assert clock.now() == 1.3
            waiting.kill()


# ---- descriptors ----


def test_a_descriptor_is_ready_when_it_is_fed() -> None:
    with SimClock() as clock:
        reader = spawn(_core.wait_read, 900, HOUR_S)  # it need not exist
        clock.advance(1)
        assert not reader.ready()
        clock.feed(900, SimClock.READ)
        clock.advance(0)
        assert reader.value is True
        assert clock.now() == 1


def test_an_object_with_fileno_is_fed_as_well() -> None:
    left, right = stdlib_socket.socketpair()
    with left, right, SimClock() as clock:
        writer = spawn(_core.wait_write, left.fileno())
        clock.advance(0)
        clock.feed(left, SimClock.WRITE | SimClock.HANGUP)
        assert writer.get() is True
        left.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            clock.feed(left)


@pytest.mark.parametrize("ready", [0, 8, -1])
def test_readiness_that_does_not_exist_is_refused(ready: int) -> None:
    with SimClock() as clock, pytest.raises(ValueError, match="READ, WRITE or HANGUP"):
        clock.feed(5, ready)


def test_a_wait_for_a_descriptor_that_nobody_feeds_is_a_dead_end() -> None:
    with SimClock(), pytest.raises(LoopExit, match="nothing comes from outside"):
        _core.wait_read(5)


def test_a_dead_end_is_told_whatever_threads_and_signals_there_are(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import signal, threading
        import fibril
        from fibril.event import Event
        from fibril.testing import SimClock
        signal.signal(signal.SIGALRM, lambda *_: None)
        end = threading.Event()
        other = threading.Thread(target=end.wait)
        other.start()
        with SimClock():
            try:
                Event().wait()
            except fibril.LoopExit:
                print("told")
        end.set()
        other.join()
    """)
    assert out == "told\n"


# ---- native threads ----


def test_time_stands_still_while_a_native_thread_works() -> None:
    gate = native.allocate_lock()
    gate.acquire()
    with SimClock() as clock, Timeout(5):
        task = spawn(POOL.apply, gate.acquire)
        sleeper = spawn(sleep, 1)
        native.start_new_thread(gate.release, ())
        assert task.get() is True
        assert not sleeper.ready()
        assert clock.now() == 0
        sleeper.join()
        assert clock.now() == 1


def test_a_promise_that_another_thread_takes_back_lets_time_go_on() -> None:
    hub = get_hub()
    with SimClock() as clock:
        hub.expect(1)
        native.start_new_thread(hub.expect, (-1,))
        sleep(HOUR_S)
        assert clock.now() == HOUR_S


def test_each_thread_has_its_own(fresh: None) -> None:
    seen: dict[str, float] = {}

    def live(name: str, seconds: float) -> None:
        with SimClock() as clock:
            barrier.wait()
            sleep(seconds)
            barrier.wait()
            seen[name] = SimClock.current().now()
            assert SimClock.current() is clock

    barrier = threading.Barrier(2, timeout=30)
    threads = [threading.Thread(target=live, args=pair) for pair in (("a", 1.0), ("b", DAY_S))]
    for thread in threads:
        thread.start()
    assert get_hub().poller == "epoll"
    for thread in threads:
        thread.join()
    assert seen == {"a": 1.0, "b": DAY_S}


def test_it_belongs_to_the_thread_that_entered_it() -> None:
    refused: list[str] = []

    def use_elsewhere() -> None:
        for use in (clock.now, clock.advance, clock.feed, clock.__exit__):
            args = {clock.advance: (1,), clock.feed: (5,), clock.__exit__: (None,) * 3}
            with pytest.raises(RuntimeError, match="this native thread is not in it") as caught:
                use(*args.get(use, ()))
            refused.append(str(caught.value))

    with SimClock() as clock:
        thread = threading.Thread(target=use_elsewhere)
        thread.start()
        thread.join()
        assert len(refused) == 4
        assert clock.now() == 0


# ---- entering ----


def test_a_hub_that_was_used_for_real_can_enter_again_and_again() -> None:
    for _ in range(3):
        use_for_real()
        with SimClock() as clock:
            sleep(HOUR_S)
            assert clock.now() == HOUR_S
    use_for_real()


def test_a_second_world_in_the_first_is_refused() -> None:
    with SimClock() as clock:
        with pytest.raises(RuntimeError, match=r"is in one.*SimClock\.current") as caught:
            SimClock().__enter__()
        assert "cannot enter" in str(caught.value)
        with pytest.raises(RuntimeError, match="is in one"):
            clock.__enter__()
        sleep(1)
        assert SimClock.current().now() == 1


def test_there_is_no_clock_outside() -> None:
    with pytest.raises(RuntimeError, match="real world"):
        SimClock.current()
    with SimClock() as clock:
        pass
    with pytest.raises(RuntimeError, match="not in it"):
        clock.now()
    with pytest.raises(RuntimeError, match="real world"):
        SimClock.current()


def test_one_clock_may_be_entered_again_after_it_was_left() -> None:
    clock = SimClock()
    for _ in range(2):
        with clock:
            assert clock.now() == 0
            sleep(1)
            assert clock.now() == 1


def refused() -> str:
    with pytest.raises(RuntimeError, match="cannot enter a simulated world while") as caught:
        SimClock().__enter__()
    assert get_hub().poller == "epoll"
    return str(caught.value)


def test_it_is_refused_while_a_task_sleeps_and_says_where() -> None:
    def nap() -> None:
        sleep(HOUR_S)

    task = spawn(nap)
    wait_all_parked()
    line = nap.__code__.co_firstlineno + 1
    message = refused()
    assert f'task "{task.name}" (nap) waits to sleep, parked at {__file__}:{line} in nap' in message
    task.kill()


def test_it_is_refused_while_a_descriptor_is_awaited() -> None:
    left, right = stdlib_socket.socketpair()
    with left, right:
        task = spawn(_core.wait_read, left.fileno())
        wait_all_parked()
        assert f"waits to read from fd {left.fileno()}" in refused()
        task.kill()


def test_it_is_refused_while_a_task_is_to_start_later() -> None:
    task = fibril.spawn_later(HOUR_S, int)
    message = refused()
    assert "waits to start" in message
    assert "spawned at " in message
    assert "test_it_is_refused_while_a_task_is_to_start_later" in message
    task.kill()


def test_it_is_refused_while_a_timeout_runs() -> None:
    with Timeout(HOUR_S):
        message = refused()
    assert "waits to be struck by <Timeout" in message
    assert "test_it_is_refused_while_a_timeout_runs" in message


def test_it_is_refused_while_somebody_waits_for_something_or_a_deadline() -> None:
    queue: Queue[int] = Queue()
    task = spawn(queue.get, timeout=HOUR_S)
    wait_all_parked()
    assert "waits to get from <" in refused()
    queue.put(1)
    assert task.get() == 1


def test_who_is_ready_or_waits_for_something_else_goes_on_inside() -> None:
    event, gate = Event(), Semaphore(0)
    waiting, woken = spawn(event.wait), spawn(gate.acquire)
    wait_all_parked()
    gate.release()
    ready = spawn(sleep, HOUR_S)
    with SimClock() as clock:
        event.set()
        assert waiting.get() is True
        assert woken.get() is True
        ready.join()
        assert clock.now() == HOUR_S


def test_timers_that_are_cancelled_in_time_are_no_hindrance() -> None:
    timeout = Timeout(HOUR_S)
    timeout.start()
    timeout.cancel()
    spawn(sleep, HOUR_S).kill()
    with SimClock() as clock:
        sleep(1)
        assert clock.now() == 1


# ---- leaving ----


class Failure(Exception):
    pass


@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt, fibril.GreenletExit])
def test_an_exception_leaves_it_and_goes_on(error: type[BaseException]) -> None:
    def live() -> None:
        with SimClock():
            spawn(sleep, HOUR_S)
            sleep(1)
            raise error

    with pytest.raises(error):
        live()
    use_for_real()


def test_who_waits_for_its_time_or_descriptors_ends_with_it() -> None:
    ends: list[str] = []

    def wait(what: Callable[..., object], *args: Any) -> None:
        try:
            what(*args)
        except BaseException as error:
            ends.append(type(error).__name__)
            raise

    def wait_with_timeout() -> None:
        with Timeout(HOUR_S):
            wait(Event().wait)

    with SimClock():
        tasks = [spawn(wait, sleep, HOUR_S), spawn(wait, _core.wait_read, 900)]
        tasks += [spawn(wait, Queue().get, True, HOUR_S), spawn(wait_with_timeout)]
        late = fibril.spawn_later(HOUR_S, wait)
        wait_all_parked()
    assert ends == ["GreenletExit"] * 4
    assert [type(task.value) for task in tasks] == [fibril.GreenletExit] * 4
    assert late.dead
    assert get_hub().waiting() == []


def test_fibers_without_a_task_end_as_well() -> None:
    with SimClock():
        fiber = Fiber(sleep, get_hub())
        spawn(fiber.switch, HOUR_S)
        wait_all_parked()
        assert not fiber.dead
    assert fiber.dead


def test_who_waits_again_while_it_ends_is_ended_again() -> None:
    waits = 0

    def stubborn() -> None:
        nonlocal waits
        while waits < 5:
            waits += 1
            with pytest.raises(fibril.GreenletExit):
                sleep(1)

    with SimClock():
        task = spawn(stubborn)
        wait_all_parked()
    assert task.successful()
    assert waits == 5


def test_who_will_not_end_has_as_much_left_in_the_real_world() -> None:
    is_over = False

    def defiant() -> str:
        while not is_over:
            try:
                sleep(HOUR_S)
            except fibril.GreenletExit:
                pass
        return "after all"

    with SimClock() as clock:
        task = spawn(defiant)
        clock.advance(DAY_S)
    assert not task.dead
    assert [fiber for fiber, _, _ in get_hub().waiting()] == [task]
    is_over = True
    task.kill()
    assert task.value == "after all"


def test_who_waits_for_something_else_goes_on_afterwards() -> None:
    queue: Queue[int] = Queue()
    with SimClock():
        task = spawn(queue.get)
        wait_all_parked()
    assert not task.dead
    queue.put(1)
    assert task.get() == 1


def test_timeouts_that_were_forgotten_strike_nobody_afterwards() -> None:
    def forget() -> None:
        Timeout(HOUR_S).start()

    with SimClock():
        forgotten = Timeout(HOUR_S)
        forgotten.start()
        spawn(forget).join()
        get_hub().call_soon(forget)
        wait_all_parked()
        assert len(get_hub().waiting()) == 3
    assert not forgotten.pending


def test_a_task_may_enter_and_leave_while_main_waits_for_it() -> None:
    def live() -> float:
        with SimClock() as clock:
            sleep(HOUR_S)
            return clock.now()

    assert spawn(live).get() == HOUR_S


def test_main_that_waits_with_a_deadline_is_not_ended_but_has_as_much_left() -> None:
    def leave() -> None:
        sleep(HOUR_S - 0.001)
        clock.__exit__(None, None, None)

    clock = SimClock()
    clock.__enter__()
    task = spawn(leave)
    sleep(HOUR_S)  # the last millisecond is real
    assert get_hub().poller == "epoll"
    task.join()


def test_the_clock_of_the_hub_never_goes_backwards() -> None:
    moments = [_core.now_ns()]
    for _ in range(3):
        with SimClock():
            moments.append(_core.now_ns())
            sleep(DAY_S)
            moments.append(_core.now_ns())
        moments.append(_core.now_ns())
    assert moments == sorted(moments)
    assert moments[-1] - moments[0] >= 3 * DAY_S * 1e9


def test_deadlines_are_real_again_afterwards() -> None:
    with SimClock():
        sleep(DAY_S)
    began = stdlib_time.monotonic()
    sleep(0.001)
    with Timeout(0.001, False):
        Event().wait()
    assert 0.002 <= stdlib_time.monotonic() - began < HOUR_S


def test_what_has_a_deadline_from_outside_still_has_it_inside_and_afterwards() -> None:
    """The objects that carry it have no timer while nobody waits for them."""
    slow = spawn(Event().wait)
    with fibril.iwait([slow], timeout=HOUR_S) as ready, SimClock() as clock:
        assert list(ready) == []
        assert HOUR_S - 60 < clock.now() <= HOUR_S
    slow.kill()


def test_a_fork_inside_leaves_the_child_inside(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os
        import fibril
        from fibril.testing import SimClock
        with SimClock() as clock:
            fibril.sleep(10)
            child = os.fork()
            fibril.sleep(20)
            if child:
                os.waitpid(child, 0)
            print(clock.now())
        fibril.sleep(0.001)
        print("parent" if child else "child", flush=True)
        if not child:
            os._exit(0)
    """)
    assert out == "30.0\nchild\n30.0\nparent\n"


def test_a_thread_may_end_inside() -> None:
    thread = threading.Thread(target=lambda: (SimClock().__enter__(), sleep(HOUR_S)))
    thread.start()
    thread.join()
    assert get_hub().poller == "epoll"


def test_nothing_is_left_behind(growth: Growth) -> None:
    def live() -> None:
        with SimClock() as clock:
            spawn(sleep, HOUR_S)
            spawn(_core.wait_read, 5)
            clock.advance(1)
            clock.feed(5)
            wait_all_parked(1)

    descriptors = len(os.listdir("/proc/self/fd"))
    growth.refuse(live)
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 2  # the real poller's


# ---- the decorator ----


def test_a_simulated_function_has_a_world_for_each_call() -> None:
    @simulated
    def nap(seconds: float, *, then: str) -> tuple[float, str]:
        """Sleeps."""
        sleep(seconds)
        return SimClock.current().now(), then

    assert nap(HOUR_S, then="up") == (HOUR_S, "up")
    assert nap(1, then="again") == (1, "again")
    assert (nap.__name__, nap.__doc__) == ("nap", "Sleeps.")


@simulated
def test_a_simulated_test_takes_fixtures_as_ever(tmp_path: object) -> None:
    assert tmp_path is not None
    sleep(DAY_S)
    assert SimClock.current().now() == DAY_S


class TestMethods:
    @simulated
    def test_a_method_may_be_simulated(self) -> None:
        sleep(DAY_S)
        assert SimClock.current().now() == DAY_S


def test_what_does_not_run_when_it_is_called_cannot_be_simulated() -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def coroutine() -> None:
        pass

    for wrong in (generator, coroutine, TestMethods, 5):
        with pytest.raises(TypeError, match="cannot simulate"):
            simulated(wrong)  # type: ignore[arg-type]
