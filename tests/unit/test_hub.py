"""Hub: callbacks, what may not block, errors that nobody catches, signals, sleeping."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from fibril import Fiber, Task, Timeout, get_hub, getcurrent, sleep, spawn
from fibril.errors import BlockingSwitchOutError
from fibril.event import AsyncResult, Event
from fibril.hub import Hub, idle
from fibril.lock import RLock, Semaphore
from fibril.queue import Queue
from tests.conftest import Interpreter, Sim


class Failure(Exception):
    pass


def fail() -> None:
    raise Failure("failed")


# ---- callbacks ----


def test_there_is_one_hub_and_its_main_fiber_is_this_one(sim: Sim) -> None:
    hub = get_hub()
    assert hub is get_hub()
    assert isinstance(hub, Hub)
    assert hub.main is getcurrent()
    assert hub.current is getcurrent()
    assert spawn(lambda: (get_hub() is hub, hub.current is getcurrent())).get() == (True, True)


def test_the_hub_cannot_be_made_by_hand_with_arguments(sim: Sim) -> None:
    with pytest.raises(TypeError):
        Hub(None, True, 1)  # type: ignore[call-arg]


def test_callbacks_run_in_the_hub_in_order(sim: Sim) -> None:
    seen: list[Any] = []
    for number in range(10):
        get_hub().call_soon(lambda n=number: seen.append((n, getcurrent())))
    assert seen == []
    sleep(0)
    assert seen == [(number, get_hub()) for number in range(10)]


def test_a_callback_may_add_another_without_starving_the_rest(sim: Sim) -> None:
    turns = [0]

    def again() -> None:
        turns[0] += 1
        get_hub().call_soon(again)

    get_hub().call_soon(again)
    for _ in range(20):
        sleep(0)
    assert 15 <= turns[0] <= 25
    task = spawn(sleep, 0)
    task.join()


def test_a_callback_that_fails_is_reported_and_the_others_run(
    sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[int] = []
    for number in range(3):
        get_hub().call_soon(seen.append, number)
        get_hub().call_soon(fail)
    sleep(0)
    assert seen == [0, 1, 2]
    assert capsys.readouterr().err.count("Failure: failed") == 3


def test_call_soon_refuses_what_cannot_be_called(sim: Sim) -> None:
    for arguments in ((), (5,), ("text", 1)):
        with pytest.raises(TypeError, match="callable"):
            get_hub().call_soon(*arguments)


BLOCKING: list[Callable[[], Any]] = [
    lambda: sleep(0),
    lambda: sleep(1),
    lambda: Event().wait(),
    lambda: Event().wait(1),
    lambda: AsyncResult().get(),
    lambda: Semaphore(0).acquire(),
    lambda: Semaphore(0).acquire(timeout=1),
    lambda: spawn(sleep, 1).join(),
    lambda: spawn(sleep, 1).get(),
    lambda: spawn(sleep, 1).kill() or fail(),
]


@pytest.mark.parametrize("number", range(len(BLOCKING) - 1))
def test_blocking_in_a_callback_is_refused_and_nothing_is_lost(number: int, sim: Sim) -> None:
    caught: list[BaseException] = []
    event = Event()
    waiting = spawn(event.wait)
    sleep(0)

    def callback() -> None:
        try:
            BLOCKING[number]()
        except BaseException as error:
            caught.append(error)

    get_hub().call_soon(callback)
    get_hub().call_soon(event.set)
    sleep(0)
    assert [type(error) for error in caught] == [BlockingSwitchOutError]
    assert "fibril.spawn" in str(caught[0])
    assert waiting.get() is True


def test_locks_and_queues_tell_a_callback_that_they_are_busy(sim: Sim) -> None:
    """What can be done without waiting is done; a held lock is refused and stays as it is."""
    lock, semaphore, queue = RLock(), Semaphore(1), Queue(1)
    outcomes: list[Any] = []

    def callback() -> None:
        outcomes.append(semaphore.acquire())
        outcomes.append(semaphore.acquire(blocking=False))
        queue.put("item")
        try:
            lock.acquire()
        except BlockingSwitchOutError:
            outcomes.append("refused")

    with lock:
        get_hub().call_soon(callback)
        sleep(0)
    assert outcomes == [True, False, "refused"]
    assert queue.get() == "item"
    assert not lock.locked()
    assert lock.acquire(blocking=False)


def test_a_callback_may_switch_by_hand_and_come_back(sim: Sim) -> None:
    seen: list[str] = []
    hub = get_hub()

    def inside() -> None:
        seen.append("inside")
        hub.switch()
        seen.append("again")
        getcurrent().parent = hub

    fiber = Fiber(inside)
    hub.call_soon(fiber.switch)
    sleep(0)
    hub.call_soon(fiber.switch)
    sleep(0)
    assert seen == ["inside", "again"]
    assert fiber.dead


def test_callbacks_go_on_when_one_has_entered_a_fiber_that_waits(sim: Sim) -> None:
    event, seen, hub = Event(), [], get_hub()
    fiber = Fiber(lambda: (seen.append("in"), event.wait(), seen.append("out")), parent=hub)
    hub.call_soon(fiber.switch)
    hub.call_soon(seen.append, "second")
    sleep(0)
    sleep(0)
    assert seen == ["in", "second"]
    event.set()
    sleep(0)
    assert seen == ["in", "second", "out"]


def test_a_callback_may_start_a_task_by_hand(sim: Sim) -> None:
    """A task does not end in its parent: the hub must not wait for it to come back."""
    seen, hub = [], get_hub()
    task = Task(lambda: (seen.append("in"), sleep(1), seen.append("out")))
    hub.call_soon(task.switch)
    hub.call_soon(seen.append, "second")
    task.join()
    hub.call_soon(seen.append, "later")
    sleep(0)
    sleep(0)
    assert seen == ["in", "second", "out", "later"]


def test_what_a_callback_gets_of_a_fiber_that_waits_is_none(sim: Sim) -> None:
    got, hub = [], get_hub()
    fiber = Fiber(lambda: sleep(1), parent=hub)
    hub.call_soon(lambda: got.append(fiber.switch()))
    sleep(0.5)
    assert got == [None]
    sleep(1)
    assert fiber.dead


def test_main_may_wait_in_the_hub_by_hand(sim: Sim) -> None:
    """gevent's low-level way: switch to the hub, and have somebody switch back."""
    main = getcurrent()
    get_hub().call_soon(main.switch, "the value")
    assert get_hub().switch() == "the value"
    get_hub().call_soon(main.throw, Failure)
    with pytest.raises(Failure):
        get_hub().switch()
    sleep(0)


def test_all_that_is_thrown_at_the_hub_is_told_at_once(
    sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    """Timeouts that a callback starts are the hub's own."""

    def callback() -> None:
        for _ in range(5):
            Timeout(1).start()

    get_hub().call_soon(callback)
    sleep(2)
    assert capsys.readouterr().err.count("failed with Timeout") == 5


def test_nothing_can_end_the_hub(sim: Sim, capsys: pytest.CaptureFixture[str]) -> None:
    hub = get_hub()
    seen: list[int] = []
    with pytest.raises(Failure):
        hub.throw(Failure)
    hub.call_soon(seen.append, 1)
    sleep(0)
    with pytest.raises(Failure):
        hub.throw(Failure)
    hub.call_soon(seen.append, 2)
    sleep(0)
    assert seen == [1, 2]
    assert get_hub() is hub
    assert not hub.dead


def test_a_fiber_whose_parent_is_the_hub_may_end_in_it(
    sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = get_hub()
    seen: list[int] = []
    spawn(lambda: Fiber(lambda: seen.append(1), hub).switch())
    spawn(lambda: Fiber(fail, hub).switch())
    sleep(1)
    assert seen == [1]
    assert capsys.readouterr().err.count("Failure: failed") == 1


def test_a_fiber_may_outlive_the_task_that_made_it(sim: Sim) -> None:
    """Its parent has ended: it ends in the hub, and nobody else notices."""
    made: list[Fiber] = []
    seen: list[str] = []

    def inner() -> None:
        getcurrent().parent.switch()
        seen.append("inner ends")

    def work() -> None:
        made.append(Fiber(inner))
        made[0].switch()

    spawn(work).join()
    spawn(made[0].switch)
    sleep(1)
    assert seen == ["inner ends"]
    assert made[0].dead


# ---- errors that nobody catches ----


def test_handle_error_is_told_of_tasks_and_callbacks(
    sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[object, type]] = []

    def handle_error(self: Hub, context: object, typ: type, value: Any, tb: Any) -> None:
        assert isinstance(value, typ)
        told.append((context, typ))

    monkeypatch.setattr(Hub, "handle_error", handle_error)
    task = spawn(fail)
    get_hub().call_soon(fail)
    sleep(0)
    assert (task, Failure) in told
    assert (fail, Failure) in told
    assert len(told) == 2


def test_a_report_that_fails_does_not_stop_the_world(
    sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    monkeypatch.setattr(Hub, "handle_error", lambda *_: fail())
    task = spawn(fail)
    get_hub().call_soon(fail)
    sleep(0)
    assert isinstance(task.exception, Failure)
    assert len(told) == 2


def test_without_stderr_errors_are_silent(sim: Sim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    task = spawn(fail)
    task.join()
    assert isinstance(task.exception, Failure)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_system_error_of_a_task_is_raised_in_main(
    error: type[BaseException], sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    def raise_it() -> None:
        raise error("from the task")

    for wait in (lambda: sleep(10), lambda: Event().wait(10), lambda: spawn(sleep, 10).join()):
        task = spawn(raise_it)
        with pytest.raises(error, match="from the task"):
            wait()
        assert type(task.exception) is error
    assert capsys.readouterr().err == ""  # main's traceback is the only one


# ---- fairness ----


def test_ready_tasks_do_not_keep_timers_from_firing(fresh: None) -> None:
    is_over = []

    def spin() -> None:
        while not is_over:
            sleep(0)

    tasks = [spawn(spin) for _ in range(3)]
    with Timeout(5), Timeout(0.01, False):
        Event().wait()
    is_over.append(True)
    for task in tasks:
        task.join()


def test_ready_tasks_do_not_keep_descriptors_from_being_seen(fresh: None) -> None:
    from fibril._core import wait_read

    reader, writer = os.pipe()
    is_over: list[bool] = []

    def spin() -> None:
        while not is_over:
            sleep(0)

    def wait() -> None:
        assert wait_read(reader, 5)
        is_over.append(True)

    tasks = [spawn(wait), spawn(spin), spawn(spin)]
    sleep(0)
    os.write(writer, b"x")
    for task in tasks:
        task.get()
    os.close(reader)
    os.close(writer)


# ---- signals ----


def test_a_wait_in_a_signal_handler_leaves_mains_own_wait_alone(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, fibril
        from fibril.event import Event
        from fibril.queue import Empty, Queue
        from fibril.lock import Semaphore
        event, other, queue, gate = Event(), Event(), Queue(), Semaphore(0)
        def handler(*_):
            print(other.wait(0.001), gate.acquire(timeout=0.001), fibril.sleep(0.001))
            try:
                queue.get(timeout=0.001)
            except Empty:
                print(fibril.spawn(len, "").get(), fibril.Fiber(len).switch("a"), fibril.sleep(0))
            event.set()
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.3)  # late enough that the main fiber is parked
        print(event.wait(5))
        print(queue.qsize(), gate.counter)
    """)
    assert out == "False False None\n0 1 None\nTrue\n0 0\n"


def test_ctrl_c_reaches_main_whoever_runs(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, signal, fibril
        from fibril.event import Event
        def spin(seconds):
            import time
            end = time.monotonic() + seconds
            try:
                while time.monotonic() < end:
                    pass
            except KeyboardInterrupt:
                print("busy task")
        def interrupt():
            os.kill(os.getpid(), signal.SIGINT)
        def join_sleeper():
            fibril.spawn(fibril.sleep, 5).join()
        for wait in (lambda: fibril.sleep(5), Event().wait, join_sleeper):
            fibril.get_hub().expect(1)
            import threading
            threading.Timer(0.05, interrupt).start()
            try:
                wait()
            except KeyboardInterrupt:
                print("main")
            fibril.get_hub().expect(-1)
    """)
    assert out == "main\nmain\nmain\n"


def test_a_signal_handler_may_wake_whoever_waits(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, fibril
        from fibril.event import Event
        event = Event()
        signal.signal(signal.SIGALRM, lambda *_: event.set())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        print(event.wait())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        event.clear()
        print(fibril.spawn(event.wait).get())
    """)
    assert out == "True\nTrue\n"


def test_a_signal_handler_that_raises_does_so_in_main(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, fibril
        from fibril.event import Event
        class Alarm(Exception): pass
        def handler(*_):
            raise Alarm
        signal.signal(signal.SIGALRM, handler)
        for wait in (lambda: fibril.sleep(5), Event().wait, fibril.spawn(fibril.sleep, 5).join):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                wait()
            except Alarm:
                print("alarm")
    """)
    assert out == "alarm\n" * 3


# ---- what it tells ----


def test_statistics_count_stacks_and_waiters(sim: Sim) -> None:
    before = get_hub().statistics()
    tasks = [spawn(sleep, 1) for _ in range(5)]
    sleep(0)
    during = get_hub().statistics()
    assert during["stacks_live"] == before["stacks_live"] + 5
    for task in tasks:
        task.join()
    after = get_hub().statistics()
    assert after["stacks_live"] == before["stacks_live"]
    assert after["fd_waiters"] == 0


def test_parked_names_each_with_what_it_waits_for(sim: Sim) -> None:
    event, queue = Event(), Queue()
    sleeping, waiting, getting = spawn(sleep, 5), spawn(event.wait), spawn(queue.get)
    sleep(0)
    told = {fiber: (verb, subject) for fiber, verb, subject in get_hub().parked()}
    assert told[sleeping][0] == "to sleep"
    assert told[waiting][1] is event
    assert told[getting][1] is queue
    event.set()
    queue.put(1)
    sleep(10)
    assert get_hub().parked() == []


def test_expect_cannot_fall_below_nothing(sim: Sim) -> None:
    hub = get_hub()
    hub.expect(2)
    hub.expect(-2)
    with pytest.raises(ValueError, match="expect"):
        hub.expect(-1)
    for wrong in ("text", None, 1.5):
        with pytest.raises(TypeError):
            hub.expect(wrong)  # type: ignore[arg-type]
    with pytest.raises((ValueError, OverflowError)):
        hub.expect(2**70)


@pytest.mark.parametrize("wrong", ["soon", None, object(), b"1"])
def test_sleep_refuses_what_is_no_number(wrong: Any, sim: Sim) -> None:
    with pytest.raises(TypeError):
        sleep(wrong)


def test_sleep_takes_any_number(sim: Sim) -> None:
    from decimal import Decimal
    from fractions import Fraction

    began = sim.now()
    for seconds in (0, -1, 1, 0.5, True, Decimal("0.25"), Fraction(1, 4), 10**-9):
        sleep(seconds)  # type: ignore[arg-type]
    assert sim.now() - began == pytest.approx(3.0)
    with pytest.raises(ValueError, match="nan"):
        sleep(float("nan"))
    with pytest.raises(OverflowError):
        sleep(10**400)
    sleep(10**6)
    assert sim.now() - began == pytest.approx(10**6 + 3)


def test_sleep_takes_the_arguments_that_gevents_does(sim: Sim) -> None:
    began = sim.now()
    spawn(sleep, 1)
    sleep(0.5, ref=False)
    sleep(seconds=1.5)
    sleep(ref=True)
    sleep()
    assert sim.now() - began == pytest.approx(2)
    for arguments in ((1, True, 3), ()):
        with pytest.raises(TypeError):
            sleep(*arguments, nonsense=1)  # type: ignore[call-arg]


def test_a_float_that_fails_the_second_time_fails_cleanly(sim: Sim) -> None:
    class Moody:
        count = 0

        def __float__(self) -> float:
            self.count += 1
            if self.count > 1:
                raise Failure
            return 1.0

    try:
        sleep(Moody())  # type: ignore[arg-type]
    except Failure:
        pass
    sleep(1)


def test_real_time_passes_while_everybody_sleeps(fresh: None) -> None:
    began = time.monotonic()
    sleep(0.02)
    assert 0.02 <= time.monotonic() - began < 5


def test_a_signal_does_not_shorten_a_sleep(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, time, fibril
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        began = time.monotonic()
        fibril.sleep(0.2)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(time.monotonic() - began >= 0.2)
    """)
    assert out == "True\n"
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


# ---- idle ----


def test_idle_returns_when_everybody_else_is_parked(sim: Sim) -> None:
    steps: list[int] = []
    spawn(lambda: [(sleep(0), steps.append(1)) for _ in range(100)])
    sleeper = spawn(sleep, 1)
    idle()
    assert len(steps) == 100
    assert not sleeper.ready()
    assert sim.now() == 0


def test_of_several_that_are_idle_the_highest_priority_runs_first(sim: Sim) -> None:
    order: list[int] = []

    def work(priority: int) -> None:
        idle(priority)
        order.append(priority)
        sleep(0)
        order.append(priority)

    for priority in (-1, 2, 0):
        spawn(work, priority)
    idle(-2)
    assert order == [2, 2, 0, 0, -1, -1]


def test_a_hub_that_gets_no_descriptor_says_so_and_goes_on_when_there_are_some(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import errno, os, resource, threading, fibril
        def try_to_sleep():
            try:
                fibril.sleep(0.01)
            except OSError as error:
                told.append(error.errno == errno.EMFILE)
            else:
                told.append("slept")
        told = []
        threading.Thread(target=int).start()  # what the first thread opens is open
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, limits[1]))
        taken = []
        try:
            while True:
                taken.append(os.dup(1))
        except OSError:
            pass
        def work():
            try_to_sleep()
            for fd in taken:
                os.close(fd)
            try_to_sleep()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        print(told)
    """)
    assert out == "[True, 'slept']\n"
