"""The hub as gevent's programs see it: wait, cancel_wait, join, names, errors, its class."""

import gc
import io
import sys
import threading
from typing import Any

import pytest

from fibril import LoopExit, Timeout, get_hub, getcurrent, iwait, sleep, socket, spawn, wait
from fibril._io.resolver import Resolver
from fibril.errors import ConcurrentObjectUseError, InvalidSwitchError
from fibril.event import Event
from fibril.hub import Hub, get_hub_class, set_default_hub_class, set_hub
from fibril.lock import Semaphore
from tests.conftest import Growth, Interpreter, Sim


class Failure(Exception):
    pass


# ---- wait and cancel_wait ----


def test_wait_waits_for_the_watcher_and_leaves_it_stopped(sim: Sim) -> None:
    began = sim.now()
    timer = get_hub().loop.timer(2)
    get_hub().wait(timer)
    assert sim.now() == began + 2
    assert (timer.active, timer.callback) == (False, None)
    get_hub().wait(timer)
    assert sim.now() == began + 4


def test_wait_for_a_watcher_that_is_in_use_is_refused(sim: Sim) -> None:
    timer = get_hub().loop.timer(2)
    first = spawn(get_hub().wait, timer)
    sleep(1)
    with pytest.raises(ConcurrentObjectUseError, match="in use"):
        get_hub().wait(timer)
    first.get()


def test_a_wait_that_is_killed_or_times_out_stops_the_watcher(sim: Sim) -> None:
    timer = get_hub().loop.timer(50)
    task = spawn(get_hub().wait, timer)
    sleep(0)
    task.kill()
    assert not timer.active
    with pytest.raises(Timeout), Timeout(1):
        get_hub().wait(timer)
    assert not timer.active


def test_wait_refuses_what_did_not_come_from_the_watcher(sim: Sim) -> None:
    timer = get_hub().loop.timer(50)
    task = spawn(get_hub().wait, timer)
    sleep(0)
    timer.callback("something else")  # type: ignore[misc]
    with pytest.raises(InvalidSwitchError, match="something else"):
        task.get()


@pytest.mark.parametrize("make", [lambda: Failure, lambda: Failure("it"), lambda: (Failure, "")])
@pytest.mark.parametrize("close", [False, True])
def test_cancel_wait_raises_in_who_waits(make: Any, close: bool, sim: Sim) -> None:
    timer = get_hub().loop.timer(50)
    task = spawn(get_hub().wait, timer)
    sleep(0)
    get_hub().cancel_wait(timer, make(), close)
    assert not task.ready()
    with pytest.raises(Failure):
        task.get()
    assert not timer.active


def test_cancel_wait_of_what_nobody_waits_for_does_nothing_but_close(sim: Sim) -> None:
    timer = get_hub().loop.timer(1)
    seen: list[int] = []
    timer.start(seen.append, 1)
    get_hub().cancel_wait(None, Failure)
    get_hub().cancel_wait(get_hub().loop.timer(1), Failure, True)
    sleep(2)
    assert seen == [1]
    timer.start(seen.append, 1)
    get_hub().cancel_wait(timer, ValueError, close_watcher=True)
    with pytest.raises(LoopExit):
        Event().wait()
    assert seen == [1]


def test_waits_are_cancelled_closed_and_then_comes_the_rest(sim: Sim) -> None:
    timers = [get_hub().loop.timer(50) for _ in range(2)]
    tasks = [spawn(get_hub().wait, timer) for timer in timers]
    sleep(0)
    seen: list[Any] = []

    def rest(argument: str) -> None:
        seen.append((argument, [timer.active for timer in timers]))

    get_hub().cancel_waits_close_and_then([*timers, None], Failure, rest, "then")
    sleep(0)
    assert seen == [("then", [False, False])]
    for task in tasks:
        with pytest.raises(Failure):
            task.get()


# ---- join and wait(None) ----


def test_join_returns_when_nothing_is_left_to_happen(sim: Sim) -> None:
    began = sim.now()
    assert get_hub().join() is True
    tasks = [spawn(sleep, seconds) for seconds in (1, 3, 2)]
    assert get_hub().join() is True
    assert sim.now() == began + 3
    assert all(task.ready() for task in tasks)
    assert wait() is True
    assert list(iwait(None)) == [True]


def test_join_does_not_wait_for_what_can_never_happen(sim: Sim) -> None:
    event = Event()
    stuck, reader = spawn(event.wait), spawn(Semaphore(0).acquire)
    assert get_hub().join() is True
    assert not stuck.ready()
    event.set()
    assert get_hub().join() is True
    assert stuck.ready()
    assert not reader.ready()


def test_join_gives_up_after_its_time(sim: Sim) -> None:
    began = sim.now()
    task = spawn(sleep, 10)
    assert get_hub().join(timeout=2) is False
    assert wait(timeout=1) is False
    assert list(iwait(None, timeout=1)) == [False]
    assert sim.now() == began + 4
    assert get_hub().join(100) is True
    assert sim.now() == began + 10
    assert task.ready()
    assert get_hub().join(0) is False  # as gevent has it: the time is over first


def test_a_join_that_ended_by_an_exception_is_forgotten(sim: Sim) -> None:
    spawn(sleep, 10)
    with pytest.raises(Timeout), Timeout(1):
        get_hub().join()
    sleep(20)
    with pytest.raises(LoopExit):
        Event().wait()
    assert get_hub().join() is True


def test_join_does_not_wait_for_what_does_not_count(sim: Sim) -> None:
    began = sim.now()
    woken: list[float] = []

    def doze() -> None:
        sleep(5, ref=False)
        woken.append(sim.now() - began)

    task = spawn(doze)
    get_hub().loop.timer(7, ref=False).start(int)
    assert get_hub().join() is True
    assert sim.now() == began
    sleep(6)
    assert woken == [5]
    assert task.ready()


def test_a_sleep_without_ref_ends_in_its_time_while_something_else_happens(sim: Sim) -> None:
    began = sim.now()
    spawn(sleep, 3)
    sleep(1, ref=False)
    assert sim.now() == began + 1
    sleep(1, False)
    assert sim.now() == began + 2
    task = spawn(sleep, 50, ref=False)
    sleep(0)
    task.kill()
    assert get_hub().statistics()["timers"] == 1
    sleep(1)
    assert get_hub().statistics()["timers"] == 0
    with pytest.raises(LoopExit, match="ref=False"):
        sleep(1, ref=False)


def test_a_timeout_without_ref_does_not_keep_join_waiting(sim: Sim) -> None:
    began = sim.now()
    task = spawn(lambda: _wait_with(Timeout(5, ref=False)))
    other = spawn(lambda: _wait_with(Timeout(3)))
    assert get_hub().join() is True
    assert sim.now() == began + 3
    assert (task.ready(), other.ready()) == (False, True)
    sleep(4)
    assert task.ready()


def _wait_with(timeout: Timeout) -> None:
    with pytest.raises(Timeout), timeout:
        Event().wait()


def test_a_watcher_with_ref_keeps_join_waiting(sim: Sim) -> None:
    asynchronous = get_hub().loop.async_()
    asynchronous.start(int)
    assert get_hub().join(1) is False
    asynchronous.ref = False
    assert get_hub().join(1) is True


def test_only_the_main_fiber_may_join(sim: Sim) -> None:
    with pytest.raises(AssertionError, match="main"):
        spawn(get_hub().join).get()
    with pytest.raises(AssertionError, match="main"):
        spawn(wait).get()


def test_each_thread_has_a_join_of_its_own() -> None:
    outcomes: list[Any] = []

    def work() -> None:
        task = spawn(sleep, 0.001)
        outcomes.append(get_hub().join())
        outcomes.append(task.ready())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcomes == [True, True]


def test_join_waits_for_what_another_thread_has_promised(fresh: None) -> None:
    hub, seen = get_hub(), []

    def keep() -> None:
        seen.append("kept")
        hub.expect(-1)

    hub.expect(1)
    timer = threading.Timer(0.02, hub.call_soon_threadsafe, (keep,))
    timer.start()
    assert hub.join(10) is True
    assert seen == ["kept"]
    timer.join()


def test_joins_leave_nothing_behind(sim: Sim, growth: Growth) -> None:
    def use() -> None:
        spawn(sleep, 1)
        get_hub().join(0.5)
        get_hub().join()

    growth.refuse(use)


# ---- switch ----


def test_switch_calls_switch_out_of_the_fiber_that_leaves(sim: Sim) -> None:
    from fibril import Task

    seen: list[str] = []

    class Noting(Task):
        def switch_out(self) -> None:
            seen.append("out")

    def leave() -> Any:
        get_hub().loop.run_callback(getcurrent().switch, "back")
        return get_hub().switch()

    assert Noting.spawn(leave).get() == "back"
    assert seen == ["out"]


# ---- names ----


def test_the_hub_tells_of_itself(sim: Sim) -> None:
    hub = get_hub()
    assert hub.name == ""
    hub.name = "mine"
    assert get_hub().name == "mine"
    assert hub.thread_ident == threading.get_ident()
    assert hub.main_hub is False
    assert hub.minimal_ident > 0
    assert hub.backend == "sim"


def test_the_main_threads_hub_is_the_main_hub(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import threading, fibril
        hub = fibril.get_hub()
        print(hub.main_hub, hub.loop.default, hub.thread_ident == threading.main_thread().ident)
        thread = threading.Thread(target=lambda: print(fibril.get_hub().main_hub))
        thread.start()
        thread.join()
    """)
    assert out == "True True True\nFalse\n"


def test_another_class_of_hub_may_be_made_the_default() -> None:
    class Special(Hub):
        pass

    made: list[Any] = []
    assert get_hub_class() is Hub
    set_default_hub_class(Special)
    try:
        assert get_hub_class() is Special
        thread = threading.Thread(target=lambda: made.append(type(get_hub())))
        thread.start()
        thread.join()
    finally:
        set_default_hub_class(Hub)
    assert made == [Special]
    with pytest.raises(TypeError, match="derive"):
        set_default_hub_class(int)  # type: ignore[arg-type]


def test_a_thread_without_a_hub_may_be_given_one(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import fibril
        from fibril import _core
        from fibril.hub import Hub, get_hub, get_hub_if_exists, get_loop, set_hub
        class Mine(Hub):
            pass
        print(get_hub_if_exists())
        mine = Mine()
        set_hub(mine)
        set_hub(mine)
        print(get_hub() is mine, get_hub_if_exists() is mine, get_loop() is mine.loop)
        mine.loop.run_callback(print, "called")
        fibril.spawn(fibril.sleep).join()
        other = Mine()
        for wrong in (other, None, fibril.getcurrent()):
            try:
                set_hub(wrong)
            except (RuntimeError, TypeError) as error:
                print(type(error).__name__, str(error).partition(":")[0])
        def in_thread():
            try:
                set_hub(other)
            except RuntimeError as error:
                print(error)
        import threading
        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
    """)
    lines = out.splitlines()
    assert lines[:3] == ["None", "True True True", "called"]
    assert lines[3] == "RuntimeError cannot change this thread's hub"
    assert lines[4].startswith("TypeError cannot take None for a hub")
    assert lines[5].startswith("TypeError cannot take <")
    assert lines[6].endswith("it is another thread's hub")


def test_destroy_stops_the_watchers_and_the_hub_goes_on(sim: Sim) -> None:
    hub = get_hub()
    timer = hub.loop.timer(50)
    timer.start(int)
    hub.destroy(destroy_loop=False)
    assert timer.active
    former = hub.loop
    hub.destroy()  # not the main thread's: as with gevent, the loop goes too
    assert not timer.active
    assert hub.loop is not former
    assert get_hub() is hub
    task = spawn(sleep, 1)
    assert hub.join()
    assert task.ready()
    del former, timer
    gc.collect()


# ---- errors ----


def test_an_error_without_context_is_printed_and_raised_in_main(
    sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    error = Failure("of nobody")
    get_hub().loop.run_callback(get_hub().handle_error, None, Failure, error, None)
    with pytest.raises(Failure, match="of nobody"):
        sleep(1)
    assert "Failure: of nobody" in capsys.readouterr().err


def test_handle_system_error_raises_in_main(sim: Sim) -> None:
    spawn(get_hub().handle_system_error, Failure, Failure("for main"))
    with pytest.raises(Failure, match="for main"):
        Event().wait()


@pytest.mark.fibril_unseen_ok("the report is what counts")
def test_the_exception_stream_may_be_set(sim: Sim, capsys: pytest.CaptureFixture[str]) -> None:
    hub = get_hub()
    assert hub.exception_stream is sys.stderr
    hub.exception_stream = stream = io.StringIO()
    spawn(lambda: 1 / 0).join()
    hub.exception_stream = None
    spawn(lambda: 1 / 0).join()
    assert stream.getvalue().count("ZeroDivisionError") == 2
    assert capsys.readouterr().err == ""


@pytest.mark.fibril_unseen_ok("the report is what counts")
def test_format_context_says_whose_an_error_is(
    sim: Sim, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "format_context", lambda self, context: "<somebody>")
    spawn(lambda: 1 / 0).join()
    assert "<somebody> failed with ZeroDivisionError" in capsys.readouterr().err


def test_the_hub_looks_names_up() -> None:
    assert get_hub().resolver.gethostbyname("127.0.0.1") == "127.0.0.1"
    assert type(get_hub().resolver) is get_hub().resolver_class
    assert type(get_hub().loop) is get_hub().loop_class


def test_a_class_of_hub_may_say_what_looks_names_up(fresh: None) -> None:
    class Mine(Resolver):
        def __init__(self, hub: Any = None) -> None:
            assert hub.periodic_monitoring_thread is None  # it is complete
            super().__init__(hub)

        def gethostbyname(self, name: str) -> str:  # type: ignore[override]
            return "192.0.2.1"

    class Special(Hub):
        resolver_class = Mine  # type: ignore[assignment]

    set_hub(Special())
    assert socket.gethostbyname("mine.invalid") == "192.0.2.1"
    assert type(get_hub().resolver) is Mine


def test_a_dead_end_may_tell_of_its_hub() -> None:
    assert LoopExit("message", get_hub(), ()).hub is get_hub()
    assert LoopExit("message").hub is None


def test_a_hub_class_of_gevents_kind_may_ask_for_an_instance(sim: Sim) -> None:
    error = ValueError("given")
    for value in (error, "text", None):
        kind, made, traceback = Hub._normalize_exception(ValueError, value, None)
        assert (kind, type(made), traceback) == (ValueError, ValueError, None)
    assert Hub._normalize_exception(ValueError, error, None)[1] is error


def test_a_hub_says_what_it_is(interpreter: Interpreter) -> None:
    program = """
        import fibril
        from fibril.hub import Hub
        hub = fibril.get_hub()
        print(repr(hub).startswith("<Hub '' at 0x"), " epoll default thread_ident=0x" in repr(hub))
        loop = hub.loop
        hub.destroy(destroy_loop=True)
        print("destroyed" in repr(hub), hub.loop is loop, "destroyed" in repr(hub), loop.ptr)
        print(Hub(default=False).loop.default)
        """
    assert interpreter.out(program) == "True True\nTrue False False 0\nFalse\n"
