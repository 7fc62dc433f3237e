"""hub.loop: factories, callbacks, what counts as still to happen, and turns of the hub."""

import gc
import os
import threading
import weakref
from typing import Any

import pytest

from fibril import LoopExit, get_hub, getcurrent, sleep, spawn
from fibril._hub.loop import Loop
from fibril._hub.loophub import LoopHub
from fibril.event import Event
from fibril.hub import Hub
from tests.conftest import Growth, Interpreter, Sim


class Failure(Exception):
    pass


def fail() -> None:
    raise Failure("failed")


def loop() -> Loop:
    return get_hub().loop


# ---- run_callback ----


def test_run_callback_calls_in_the_hub_in_order(sim: Sim) -> None:
    seen: list[Any] = []
    loop().run_callback(lambda: seen.append(getcurrent()))
    loop().run_callback(seen.append, 1)
    assert seen == []
    sleep(0)
    assert seen == [get_hub(), 1]


def test_a_callback_is_true_until_it_has_run(sim: Sim) -> None:
    states: list[tuple[bool, bool]] = []
    callback = loop().run_callback(lambda: states.append((bool(callback), callback.pending)))
    assert (bool(callback), callback.pending) == (True, True)
    sleep(0)
    assert states == [(True, False)]
    assert (bool(callback), callback.pending, callback.args) == (False, False, None)


def test_a_callback_that_is_stopped_is_not_called(sim: Sim) -> None:
    seen: list[int] = []
    for stop in ("stop", "close"):
        callback = loop().run_callback(seen.append, 1)
        getattr(callback, stop)()
        assert not callback
    sleep(0)
    assert seen == []
    assert "stopped" in repr(callback)


def test_an_error_in_a_callback_goes_to_the_hub_with_the_callback(
    sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(Hub, "handle_error", lambda self, *what: told.append(what[:2]))
    seen: list[int] = []
    callback = loop().run_callback(fail)
    loop().run_callback(seen.append, 1)
    sleep(0)
    assert told == [(callback, Failure)]
    assert seen == [1]
    assert not callback


def test_an_error_handler_may_take_the_hubs_place(sim: Sim) -> None:
    class Handler:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def handle_error(self, context: Any, typ: Any, value: Any, tb: Any) -> None:
            self.told.append(typ)

    handler = loop().error_handler = Handler()
    loop().run_callback(fail)
    timer = loop().timer(0)
    timer.start(fail)
    sleep(1)
    assert handler.told == [Failure, Failure]


def test_an_error_handler_that_fails_hides_nothing(
    sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    class Handler:
        def handle_error(self, context: Any, typ: Any, value: Any, tb: Any) -> None:
            raise KeyError("of the handler")

    loop().error_handler = Handler()
    loop().run_callback(fail)
    sleep(0)
    printed = capsys.readouterr().err
    assert "Failure: failed" in printed
    assert "of the handler" in printed


def test_a_callback_may_be_run_from_another_thread(fresh: None) -> None:
    event = Event()
    here = loop()
    seen: list[Any] = []

    def call() -> None:
        here.run_callback_threadsafe(lambda: (seen.append(getcurrent()), event.set()))

    with_promise = spawn(event.wait)
    sleep(0)
    threading.Thread(target=call).start()
    with_promise.get(timeout=10)
    assert seen == [get_hub()]


def test_a_callback_may_switch_to_a_fiber_by_hand_as_uwsgi_does(sim: Sim) -> None:
    """It starts a timer with its own switch, leaves for the hub, and asks what came back."""

    def wait() -> Any:
        timer = loop().timer(1)
        timer.start(getcurrent().switch, timer)
        came = get_hub().switch()
        timer.stop()
        return came is timer

    tasks = [spawn(wait) for _ in range(3)]
    sleep(2)
    assert [task.value for task in tasks] == [True] * 3
    assert wait()


# ---- what keeps waiting from being a dead end ----


@pytest.mark.parametrize("kind", ["timer", "io", "idle", "prepare", "check", "fork", "async_"])
def test_only_a_watcher_with_ref_is_something_still_to_happen(kind: str, sim: Sim) -> None:
    arguments = {"timer": (1000,), "io": (0, 1)}.get(kind, ())
    watcher = getattr(loop(), kind)(*arguments)
    assert watcher.ref is True
    assert loop().activecnt == 0
    watcher.start(int)
    assert loop().activecnt == 1
    watcher.ref = False
    assert loop().activecnt == 0
    with pytest.raises(LoopExit):
        Event().wait()
    watcher.ref = True
    watcher.ref = True
    assert loop().activecnt == 1
    watcher.stop()
    assert loop().activecnt == 0
    watcher.ref = False
    watcher.start(int)
    watcher.start(int)
    assert loop().activecnt == 0
    watcher.close()
    assert loop().activecnt == 0
    assert get_hub().statistics()["kept"] == 0


def test_ref_and_unref_change_the_count_by_one_either_way(sim: Sim) -> None:
    timer = loop().timer(5)
    timer.start(int)
    for change, count in (("unref", 0), ("ref", 1), ("ref", 2), ("unref", 1), ("unref", 0)):
        getattr(loop(), change)()
        assert loop().activecnt == count
    with pytest.raises(LoopExit):
        Event().wait()
    loop().ref()
    timer.stop()
    assert loop().activecnt == 0
    assert get_hub().statistics()["kept"] == 0


def test_a_dead_end_that_main_catches_may_come_again(sim: Sim) -> None:
    timer = loop().timer(5, ref=False)
    timer.start(int)
    for _ in range(3):
        with pytest.raises(LoopExit):
            Event().wait()
    sleep(10)
    assert not timer.active


# ---- turns ----


def test_prepare_comes_before_the_hub_sleeps_and_check_after(sim: Sim) -> None:
    seen: list[Any] = []
    prepare, check = loop().prepare(), loop().check()
    prepare.start(lambda: seen.append(("prepare", sim.now())))
    check.start(lambda: seen.append(("check", sim.now())))
    began = sim.now()
    sleep(1)
    sleep(1)
    prepare.stop()
    check.stop()
    assert seen[0] == ("prepare", began)
    assert ("check", began + 1) in seen
    assert ("prepare", began + 1) in seen
    assert ("check", began + 2) in seen
    assert len(seen) < 12
    count = len(seen)
    sleep(1)
    assert len(seen) == count


def test_what_a_prepare_callback_starts_is_seen_before_the_hub_sleeps(sim: Sim) -> None:
    began = sim.now()
    prepare, event = loop().prepare(), Event()

    def start() -> None:
        prepare.stop()
        loop().run_callback(event.set)

    prepare.start(start)
    assert event.wait(10)
    assert sim.now() == began


def test_prepare_keeps_no_busy_hub_from_its_work(sim: Sim) -> None:
    turns = [0]
    prepare = loop().prepare()
    prepare.start(lambda: turns.__setitem__(0, turns[0] + 1))
    for _ in range(1000):
        sleep(0)
    prepare.stop()
    assert 1 <= turns[0] <= 40


def test_idle_comes_when_nobody_is_ready_and_nothing_is_due(sim: Sim) -> None:
    seen: list[str] = []
    idle = loop().idle()
    task = spawn(lambda: [(seen.append("work"), sleep(0)) for _ in range(3)])

    def note() -> None:
        seen.append("idle")
        idle.stop()

    idle.start(note)
    assert get_hub().join()
    assert task.ready()
    assert seen == ["work"] * 3 + ["idle"]


def test_hub_wait_with_an_idle_watcher_waits_for_a_quiet_moment(sim: Sim) -> None:
    began = sim.now()
    seen: list[int] = []
    tasks = [spawn(lambda: [(seen.append(1), sleep(0)) for _ in range(5)]) for _ in range(3)]
    sleeping = spawn(sleep, 1)
    get_hub().wait(loop().idle())
    assert len(seen) == 15
    assert sim.now() == began  # the clock did not have to move
    assert not sleeping.ready()
    sleeping.join()
    assert all(task.ready() for task in tasks)


def test_nobody_is_asked_at_turns_once_the_last_watcher_has_stopped(
    sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    original = LoopHub.turn_begins

    def turn_begins(self: LoopHub) -> bool:
        asked.append(1)
        return original(self)

    monkeypatch.setattr(LoopHub, "turn_begins", turn_begins)
    first, second = loop().check(), loop().prepare()
    first.start(int)
    second.start(int)
    first.stop()
    sleep(1)
    assert asked
    second.stop()
    asked.clear()
    sleep(1)
    assert asked == []


def test_a_hook_that_fails_is_reported_and_the_hub_goes_on(
    sim: Sim, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(LoopHub, "turn_ends", lambda self: fail())
    check = loop().check()
    check.start(int)
    sleep(1)
    check.stop()
    sleep(1)
    assert "Failure: failed" in capsys.readouterr().err


# ---- the loop that fibril does not have ----


def test_run_lets_everything_happen(sim: Sim) -> None:
    task = spawn(sleep, 5)
    loop().run()
    assert task.ready()
    callback = loop().run_callback(int)
    loop().run(nowait=True)
    assert not callback
    with pytest.raises(RuntimeError, match=r"hub\.wait"):
        loop().run(once=True)
    with pytest.raises(RuntimeError, match="has none"):
        loop().break_()


def test_what_libev_has_and_fibril_has_not_does_nothing(sim: Sim) -> None:
    for name in ("verify", "reinit", "install_sigchld", "reset_sigchld", "update_now", "update"):
        assert getattr(loop(), name)() is None


def test_the_clock_is_the_hubs(sim: Sim) -> None:
    began = loop().now()
    sleep(5)
    assert loop().now() == pytest.approx(began + 5)  # in nanoseconds it is that


def test_the_loop_tells_of_itself(fresh: None) -> None:
    assert loop() is loop()
    assert (loop().MAXPRI, loop().MINPRI) == (2, -2)
    assert (loop().backend, loop().backend_int) == ("epoll", 4)
    assert loop().default is False
    before = loop().iteration
    sleep(0.001)
    assert loop().iteration > before
    assert 0 < loop().approx_timer_resolution < 0.01
    depths: list[int] = []
    loop().run_callback(lambda: depths.append(loop().depth))
    sleep(0)
    assert (depths, loop().depth) == ([1], 0)
    assert getattr(loop(), "async")().send
    assert isinstance(loop().timer(1), loop().WatcherType)
    assert "epoll" in repr(loop())


def test_pending_watchers_are_counted(sim: Sim) -> None:
    watchers = [loop().async_() for _ in range(3)]
    for watcher in watchers:
        watcher.start(int)
    assert loop().pendingcnt == 0
    watchers[0].send()
    watchers[1].send()
    assert loop().pendingcnt == 2
    sleep(0)
    assert loop().pendingcnt == 0
    loop().destroy()
    assert not any(watcher.active for watcher in watchers)


def test_fileno_is_readable_when_the_hub_has_something_to_do(fresh: None) -> None:
    import select

    reader, writer = os.pipe()
    watcher = loop().io(reader, 1)
    watcher.start(int)
    number = loop().fileno()
    assert isinstance(number, int)
    poller = select.poll()
    poller.register(number, select.POLLIN)
    assert poller.poll(0) == []
    os.write(writer, b"x")
    assert [fd for fd, _ in poller.poll(0)] == [number]
    watcher.close()
    os.close(reader)
    os.close(writer)


# ---- life ----


def test_an_active_watcher_that_nobody_keeps_calls_back(sim: Sim) -> None:
    seen: list[int] = []
    loop().timer(1).start(seen.append, 1)
    gc.collect()
    sleep(2)
    assert seen == [1]


def test_a_hub_with_a_loop_and_active_watchers_is_collected_with_its_thread() -> None:
    held: list[weakref.ref[Any]] = []

    def work() -> None:
        timer = loop().timer(1000)
        timer.start(int)
        asynchronous = loop().async_()
        asynchronous.start(int)
        asynchronous.send()
        reader, writer = os.pipe()
        io = loop().io(reader, 1)
        io.start(int)
        os.write(writer, b"x")
        sleep(0)
        prepare = loop().prepare()
        prepare.start(int)
        sleep(0.001)
        held.extend(weakref.ref(each) for each in (timer, asynchronous, io, prepare, loop()))
        os.close(reader)
        os.close(writer)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()
    gc.collect()
    assert [ref() for ref in held] == [None] * 5


def test_a_watcher_of_a_thread_that_has_ended_cannot_be_started(fresh: None) -> None:
    from fibril import FiberError

    made: list[Any] = []

    def work() -> None:
        made.extend([loop().timer(1), loop().io(0, 1), loop().async_()])
        made[2].start(int)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for watcher in made[:2]:
        with pytest.raises(FiberError, match="has ended"):
            watcher.start(int)
        assert not watcher.active
    with pytest.raises(FiberError, match="has ended"):
        made[2].send()


def test_the_interpreter_may_end_while_a_daemon_thread_is_amid_a_turn(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import threading, time, fibril
        ready = threading.Event()

        def spin():
            loop = fibril.get_hub().loop
            loop.prepare().start(time.sleep, 0)
            loop.idle().start(ready.set)
            fibril.sleep(1000)

        threading.Thread(target=spin, daemon=True).start()
        ready.wait()
        print("main ends")
    """)
    assert out == "main ends\n"


def test_watchers_leave_nothing_behind(sim: Sim, growth: Growth) -> None:
    def use() -> None:
        for watcher in (
            loop().timer(0.1),
            loop().timer(0.1, 0.1),
            loop().prepare(),
            loop().check(),
            loop().async_(),
            loop().stat("/", 0.1),
        ):
            watcher.start(int)
        loop().io(0, 1).start(int)
        loop().run_callback(int)
        sleep(0.5)
        loop().destroy()

    growth.refuse(use, times=40)


# ---- fork ----


def test_watchers_go_on_in_the_child_of_a_fork(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, signal, sys, fibril
        from fibril.event import Event
        loop = fibril.get_hub().loop
        seen = []
        loop.timer(0.01).start(seen.append, "timer")
        forked = loop.fork(ref=False)
        forked.start(seen.append, "forked")
        asynchronous = loop.async_()
        asynchronous.start(lambda: (seen.append("async"), asynchronous.stop()))
        reader, writer = os.pipe()
        io = loop.io(reader, 1)
        io.start(lambda: (seen.append(os.read(reader, 1)), io.stop()))
        fibril.signal_handler(signal.SIGUSR1, seen.append, "signal")
        check = loop.check(ref=False)
        check.start(lambda: seen.append("check") if "check" not in seen else None)
        idle = loop.idle()
        idle.start(lambda: idle.stop())
        fibril.sleep(0)

        def finish(who):
            asynchronous.send()
            os.write(writer, b"x")
            os.kill(os.getpid(), signal.SIGUSR1)
            assert fibril.wait() is True
            print(who, sorted(map(str, seen)), loop.activecnt, fibril.get_hub().loop is loop)
            sys.stdout.flush()

        pid = os.fork()
        if pid == 0:
            finish("child")
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
        finish("parent")
    """)
    told = "['async', \"b'x'\", 'check'{}, 'signal', 'timer'] 0 True\n"
    assert out == "child {}0\nparent {}".format(told.format(", 'forked'"), told.format(""))


def test_a_fork_in_a_task_keeps_the_loop_and_what_was_told_already(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import os, sys, fibril
        hub = fibril.get_hub()
        loop = hub.loop
        hub.name = "mine"
        seen = []
        timer = loop.timer(0)
        loop.unref()

        def work():
            timer.start(seen.append, "told before")
            pid = fibril.fork()
            if pid == 0:
                loop.ref()
                fibril.sleep(0.01)
                print(seen, fibril.get_hub().name, loop.hub is fibril.get_hub(), loop.activecnt)
                sys.stdout.flush()
                os._exit(0)
            return os.waitpid(pid, 0)[1]

        print(fibril.spawn(work).get())
    """)
    assert out == "['told before'] mine True 0\n0\n"


def test_the_child_of_a_fork_made_by_a_callback_keeps_its_hub(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, sys, fibril
        loop = fibril.get_hub().loop
        seen = []

        def fork():
            pid = os.fork()
            if pid == 0:
                loop.timer(0.01).start(child)
            else:
                print(os.waitpid(pid, 0)[1])

        def child():
            print("child", loop.hub is fibril.get_hub())
            sys.stdout.flush()
            os._exit(0)

        loop.run_callback(fork)
        fibril.sleep(0.001)
    """)
    assert out == "child True\n0\n"


def test_a_descriptor_that_the_child_has_lost_is_reported_there(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import os, fibril
        loop = fibril.get_hub().loop
        reader, writer = os.pipe()
        os.dup2(reader, 100)
        io = loop.io(100, 1)
        io.start(int)
        fibril.sleep(0)
        os.close(100)
        pid = os.fork()
        if pid == 0:
            print(io.active, loop.activecnt, flush=True)
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
    """)
    assert done.out == "False 0\n0\n"
    assert "Bad file descriptor" in done.err


# ---- other loops ----


def test_another_loop_has_watchers_of_its_own_in_the_same_hub(sim: Sim) -> None:
    other, calls = Loop(default=False), []
    assert (other.default, other.hub, bool(other.ptr)) == (False, get_hub(), True)
    other.timer(1).start(calls.append, "timer")
    other.run_callback(calls.append, "callback")
    check = other.check()
    check.start(lambda: (calls.append("check"), check.stop()))
    loop().timer(2).start(calls.append, "the hub's own")
    sleep(1.5)
    assert sorted(calls) == ["callback", "check", "timer"]
    other.timer(1).start(calls.append, "never")
    other.destroy()
    assert (other.ptr, other.default) == (0, False)
    sleep(1)
    assert calls[3:] == ["the hub's own"]


def test_a_program_may_put_itself_between_the_hub_and_its_loop(interpreter: Interpreter) -> None:
    program = """
        import fibril
        from fibril._hub.loop import Loop
        class Between:
            def __getattr__(self, name):
                print(name)
                return getattr(original, name)
        hub = fibril.get_hub()
        original, hub.loop = hub.loop, Between()
        hub.wait(hub.loop.timer(0))
        hub.loop = original
        print(Loop(default=True).default)
        """
    assert interpreter.out(program) == "timer\nTrue\n"
