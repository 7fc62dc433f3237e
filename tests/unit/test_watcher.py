"""Watchers: what all have, and timers and those that somebody tells."""

import gc
import os
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from fibril import _core, get_hub, getcurrent, sleep, spawn
from fibril._hub.loop import Loop
from fibril._hub.watcher import Watcher
from fibril.errors import BlockingSwitchOutError
from fibril.event import Event
from fibril.hub import Hub
from tests.conftest import Sim


class Failure(Exception):
    pass


def fail() -> None:
    raise Failure("failed")


def loop() -> Loop:
    return get_hub().loop


# ---- what all have ----


def test_a_watcher_calls_back_in_the_hub_with_its_arguments(sim: Sim) -> None:
    seen: list[Any] = []
    timer = loop().timer(1)
    assert (timer.active, timer.pending, timer.callback, timer.args) == (False, False, None, None)
    timer.start(lambda *args: seen.append((getcurrent(), args)), 1, "two")
    assert (timer.active, timer.pending, timer.args) == (True, False, (1, "two"))
    sleep(2)
    assert seen == [(get_hub(), (1, "two"))]
    assert (timer.active, timer.callback, timer.args) == (False, None, None)


def test_blocking_in_a_callback_is_refused_and_reported(
    sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(Hub, "handle_error", lambda self, *what: told.append(what[:2]))
    timer = loop().timer(0)
    timer.start(sleep, 1)
    sleep(1)
    assert told == [(timer, BlockingSwitchOutError)]


def test_a_callback_that_fails_is_called_again_all_the_same(
    sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    with loop().timer(1, 1) as timer:
        timer.start(fail)
        sleep(3.5)
        assert timer.active
    assert capsys.readouterr().err.count("Failure: failed") == 3
    assert not timer.active


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_system_error_of_a_callback_is_raised_in_main(
    error: type[BaseException], sim: Sim
) -> None:
    def raise_it() -> None:
        raise error("from the callback")

    loop().timer(1).start(raise_it)
    with pytest.raises(error, match="from the callback"):
        sleep(5)


@pytest.mark.parametrize("wrong", [None, 5, "text"])
def test_what_cannot_be_called_is_refused(wrong: Any, sim: Sim) -> None:
    timer = loop().timer(1)
    with pytest.raises(TypeError, match=r"call|None"):
        timer.start(wrong)
    assert not timer.active
    timer.start(int)
    if wrong is not None:
        with pytest.raises(TypeError):
            timer.callback = wrong
        with pytest.raises(TypeError, match="tuple"):
            timer.args = wrong
    timer.stop()


def test_callback_and_arguments_may_be_changed_while_active(sim: Sim) -> None:
    seen: list[Any] = []
    timer = loop().timer(1)
    timer.start(fail)
    timer.callback = seen.append
    timer.args = ("changed",)
    sleep(2)
    timer.start(fail)
    timer.args = None
    timer.callback = lambda: seen.append("no arguments")
    sleep(2)
    timer.start(fail)
    timer.callback = None
    sleep(2)
    assert seen == ["changed", "no arguments"]


def test_starting_an_active_watcher_only_changes_the_callback(sim: Sim) -> None:
    seen: list[Any] = []
    timer = loop().timer(2)
    timer.start(fail)
    sleep(1)
    timer.start(lambda: seen.append(sim.now()))
    began = sim.now()
    sleep(5)
    assert seen == [began + 1]


def test_priority_is_kept_and_cannot_be_set_while_active(sim: Sim) -> None:
    timer = loop().timer(1, priority=2)
    assert timer.priority == 2
    timer.priority = -1
    timer.start(int)
    with pytest.raises(AttributeError, match="active"):
        timer.priority = 1
    assert timer.priority == -1
    timer.stop()


def test_a_watcher_that_is_stopped_is_not_called_even_if_it_happened(sim: Sim) -> None:
    told: list[tuple[bool, bool]] = []
    first, timer, asynchronous = loop().timer(1), loop().timer(1), loop().async_()

    def stop() -> None:
        asynchronous.send()
        told.append((timer.pending, asynchronous.pending))
        timer.stop()
        asynchronous.stop()
        told.append((timer.pending, asynchronous.pending))

    first.start(stop)
    timer.start(fail)
    asynchronous.start(fail)
    assert get_hub().join()
    assert told == [(True, True), (False, False)]


def test_one_that_was_stopped_and_started_again_waits_its_whole_time(sim: Sim) -> None:
    began = sim.now()
    seen: list[float] = []
    first, timer = loop().timer(1), loop().timer(1)

    def restart() -> None:
        timer.stop()
        timer.start(lambda: seen.append(sim.now() - began))

    first.start(restart)
    timer.start(fail)
    assert get_hub().join()
    assert seen == [2]


def test_feed_calls_back_once_without_anything_having_happened(sim: Sim) -> None:
    seen: list[Any] = []
    timer = loop().timer(1000)
    timer.feed(256, seen.append, "fed")
    assert (timer.pending, timer.active) == (True, False)
    sleep(0)
    sleep(0)
    assert seen == ["fed"]
    assert (timer.pending, timer.callback, timer.args) == (False, None, None)
    timer.feed(256, seen.append, "not this")
    timer.stop()
    sleep(0)
    assert seen == ["fed"]
    with pytest.raises(TypeError):
        timer.feed(256, None)  # type: ignore[arg-type]


def test_a_watcher_tells_of_itself(sim: Sim) -> None:
    for watcher, words in (
        (loop().timer(1, 2), ("TimerWatcher", "after=1.0 repeat=2.0")),
        (loop().io(0, 3), ("IOWatcher", "fd=0 events=3")),
        (loop().signal(10), ("SignalWatcher", "signal=10")),
        (loop().child(12345), ("ChildWatcher", "pid=12345")),
        (loop().stat("/tmp"), ("StatWatcher", "'/tmp'")),
        (loop().fork(), ("ForkWatcher",)),
    ):
        assert isinstance(watcher, Watcher)
        assert all(word in repr(watcher) for word in words)
    timer = loop().timer(1)
    timer.start(fail)
    assert " active" in repr(timer)
    assert "fail" in repr(timer)


# ---- timers ----


def test_a_timer_calls_back_once_when_it_is_time(sim: Sim) -> None:
    began = sim.now()
    seen: list[float] = []
    for seconds in (2, 0.5, 1):
        loop().timer(seconds).start(lambda: seen.append(sim.now() - began))
    assert get_hub().join()
    assert seen == pytest.approx([0.5, 1, 2])


def test_a_timer_that_repeats_keeps_its_rhythm(sim: Sim) -> None:
    began = sim.now()
    seen: list[float] = []

    def note() -> None:
        assert timer.active
        seen.append(sim.now() - began)
        if len(seen) == 4:
            timer.stop()

    timer = loop().timer(1, 0.25)
    timer.start(note)
    assert get_hub().join()
    assert seen == pytest.approx([1, 1.25, 1.5, 1.75])


def test_again_counts_the_repetition_from_now(sim: Sim) -> None:
    began = sim.now()
    seen: list[float] = []

    def note() -> None:
        seen.append(sim.now() - began)

    timer = loop().timer(100, 2)
    timer.again(note)
    sleep(1)
    timer.again(note)
    sleep(2.5)
    assert seen == pytest.approx([3])
    timer.stop()
    single = loop().timer(1)
    single.start(fail)
    single.again(note)
    assert not single.active
    sleep(5)
    assert seen == pytest.approx([3])


def test_a_timer_takes_any_time_but_no_negative_repetition(sim: Sim) -> None:
    seen: list[int] = []
    for seconds in (0, -5, 0.0):
        loop().timer(seconds).start(seen.append, 1)
    loop().timer(float("inf"), float("inf"), ref=False).start(fail)
    sleep(1)
    assert seen == [1, 1, 1]
    with pytest.raises(ValueError, match="positive or zero"):
        loop().timer(1, -1)
    assert loop().timer(3).at == 3.0


def test_a_timer_may_be_started_again_by_its_own_callback(sim: Sim) -> None:
    seen: list[float] = []
    timer = loop().timer(1)

    def note() -> None:
        seen.append(sim.now())
        if len(seen) < 3:
            timer.start(note, update=True)

    began = sim.now()
    timer.start(note)
    assert get_hub().join()
    assert seen == pytest.approx([began + 1, began + 2, began + 3])


def test_a_timer_that_another_thread_starts_wakes_the_hub(fresh: None) -> None:
    event = Event()
    timer = loop().timer(0.01)
    waiting = spawn(event.wait, 10)
    sleep(0)
    threading.Thread(target=timer.start, args=(event.set,)).start()
    assert waiting.get() is True


# ---- async ----


def test_send_calls_back_once_however_often_it_was_sent(sim: Sim) -> None:
    seen: list[int] = []
    asynchronous = loop().async_()
    asynchronous.send()  # nobody is interested
    asynchronous.start(seen.append, 1)
    asynchronous.send()
    asynchronous.send_ignoring_arg("what a link is told")
    assert asynchronous.pending
    sleep(0)
    assert seen == [1]
    asynchronous.send()
    sleep(0)
    assert seen == [1, 1]
    asynchronous.close()


def test_send_from_another_thread_wakes_who_waits(fresh: None) -> None:
    asynchronous = loop().async_()
    for _ in range(20):
        threading.Thread(target=lambda: (wait_active(asynchronous), asynchronous.send())).start()
        get_hub().wait(asynchronous)


def wait_active(watcher: Watcher) -> None:
    """In another thread: until it is started."""
    from fibril import native

    for _ in range(100_000):
        if watcher.active:
            return
        native.sleep(0.0001)


# ---- stat ----


def size(stat: os.stat_result | None) -> int | None:
    return None if stat is None else stat.st_size


def test_a_stat_watcher_tells_what_was_and_what_is(sim: Sim, tmp_path: Path) -> None:
    path = tmp_path / "watched"
    seen: list[tuple[Any, Any]] = []
    stat = loop().stat(str(path), 1.0)
    assert (stat.attr, stat.prev, stat.interval) == (None, None, 1.0)
    stat.start(lambda: seen.append((size(stat.prev), size(stat.attr))))
    sleep(3)
    assert seen == []
    path.write_text("four", encoding="utf-8")
    sleep(3)
    path.write_text("longer", encoding="utf-8")
    sleep(3)
    path.unlink()
    sleep(3)
    stat.close()
    path.write_text("again", encoding="utf-8")
    sleep(3)
    assert seen == [(None, 4), (4, 6), (6, None)]


def test_a_stat_watcher_has_an_interval_that_makes_sense(sim: Sim) -> None:
    for given, used in ((0, 5.0), (-1, 0.1), (7, 7.0)):
        stat = loop().stat(b"/", given)
        stat.start(int)
        assert stat.interval == used
        stat.stop()


# ---- child ----


needs_pidfd = pytest.mark.skipif(
    os.environ.get("FIBRIL_SANITIZER") == "valgrind", reason="valgrind has no pidfd_open"
)


def make_child(status: int, then: int = -1) -> int:
    """A process that ends with that status, once there is a line in `then`, a pipe, if given."""
    actions = [] if then < 0 else [(os.POSIX_SPAWN_DUP2, then, 0)]
    program = f"read line; exit {status}" if actions else f"exit {status}"
    return os.posix_spawn("/bin/sh", ["sh", "-c", program], os.environ, file_actions=actions)


@needs_pidfd
def test_a_child_watcher_reaps_its_child_and_tells_the_status(fresh: None) -> None:
    seen: list[int] = []
    children = [loop().child(make_child(status)) for status in (0, 3)]
    for child in children:
        assert (child.rpid, child.rstatus) == (0, 0)
        child.start(seen.append, 1)
    assert get_hub().join(10)
    assert seen == [1, 1]
    for child, status in zip(children, (0, 3), strict=True):
        assert (child.rpid, child.rstatus) == (child.pid, status << 8)
        assert not child.active
        with pytest.raises(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)


@needs_pidfd
def test_a_child_may_be_waited_for_in_a_task(fresh: None) -> None:
    reader, writer = os.pipe()
    child = loop().child(make_child(5, reader))
    task = spawn(get_hub().wait, child)
    sleep(0.001)
    assert not task.ready()
    os.write(writer, b"\n")
    task.get()
    assert os.waitstatus_to_exitcode(child.rstatus) == 5
    os.close(reader)
    os.close(writer)


@needs_pidfd
def test_a_child_that_somebody_else_has_reaped_is_told_with_a_warning(fresh: None) -> None:
    reader, writer = os.pipe()
    child = loop().child(make_child(5, reader))
    child.start(int)
    os.write(writer, b"\n")
    os.waitpid(child.pid, 0)
    with pytest.warns(RuntimeWarning, match="lost"):
        assert get_hub().join(10)
    assert os.waitstatus_to_exitcode(child.rstatus) == 255
    os.close(reader)
    os.close(writer)


@needs_pidfd
def test_a_child_watcher_that_is_stopped_leaves_the_child_alone(fresh: None) -> None:
    before = len(os.listdir("/proc/self/fd"))
    pid = make_child(2)
    child = loop().child(pid)
    child.start(fail)
    child.ref = False
    child.stop()
    assert len(os.listdir("/proc/self/fd")) == before or loop().fileno()
    assert os.waitpid(pid, 0) == (pid, 2 << 8)


@needs_pidfd
def test_what_is_no_one_child_cannot_be_watched(sim: Sim) -> None:
    for pid in (0, -1, -5):
        with pytest.raises(ValueError, match="pidfd"):
            loop().child(pid)
    pid = make_child(0)
    os.waitpid(pid, 0)
    child = loop().child(pid)
    with pytest.raises(ProcessLookupError):
        child.start(int)
    assert not child.active
    assert loop().activecnt == 0


# ---- the native halves ----


def test_what_is_dropped_while_it_is_started_never_calls_back(sim: Sim) -> None:
    timer = _core.Timer(get_hub(), lambda ready: fail())
    timer.start(1)
    watch = _core.Watch(get_hub(), 0, 1, lambda ready: fail())
    watch.start()
    assert (timer.active, watch.active, loop().activecnt) == (True, True, 2)
    del timer, watch
    gc.collect()
    assert loop().activecnt == 0
    sim.feed(0, 1)
    sleep(2)


def test_one_that_was_told_lives_until_it_is_called(sim: Sim) -> None:
    seen: list[int] = []
    timers = [_core.Timer(get_hub(), seen.append) for _ in range(3)]
    first = _core.Timer(get_hub(), lambda ready: timers.clear())
    first.start(1)
    for timer in timers:
        timer.start(1)
    del timer
    sleep(2)
    assert seen == [256] * 3


def test_the_callback_is_told_what_happened(sim: Sim) -> None:
    seen: list[int] = []
    timer = _core.Timer(get_hub(), seen.append)
    watch = _core.Watch(get_hub(), 0, 3, seen.append)
    timer.start(0)
    watch.start()
    sim.feed(0, 1)
    sim.feed(0, 2)
    sleep(1)
    assert sorted(seen) == [3, 256]
    watch.cancel()


def test_a_cycle_through_a_callback_is_collected(sim: Sim) -> None:
    class Owner:
        def __init__(self) -> None:
            self.timer = _core.Timer(get_hub(), self.call)
            self.watch = _core.Watch(get_hub(), 0, 1, self.call)

        def call(self, ready: int) -> None:
            fail()

    owner = Owner()
    owner.timer.start(1)
    owner.watch.start()
    held = weakref.ref(owner)
    del owner
    gc.collect()
    assert held() is None
    assert loop().activecnt == 0
    sleep(2)


def test_the_native_halves_refuse_what_they_cannot_use(sim: Sim) -> None:
    hub: Any = get_hub()
    for arguments in ((), (hub,), (None, int), (hub, int, 3)):
        with pytest.raises(TypeError):
            _core.Timer(*arguments)
    for arguments in ((), (hub, 0, 1), (hub, "0", 1, int), (5, 0, 1, int)):
        with pytest.raises(TypeError):
            _core.Watch(*arguments)
    timer = _core.Timer(hub, int)
    for wrong in ("soon", None):
        with pytest.raises(TypeError):
            timer.start(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            timer.again(wrong)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        del timer.ref
    timer.start(float("nan"))
    timer.again(float("inf"))
    timer.again(float("inf"))
    assert timer.active
    timer.cancel()
    timer.cancel()
    assert not timer.active
