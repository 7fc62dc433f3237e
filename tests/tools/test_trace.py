"""sys.settrace and sys.setprofile: per thread, so they see every fiber of it, as with greenlet.

What is expected here is what greenlet 3.5.6 does, event by event, on the same CPython: replace the
import of Fiber and getcurrent by greenlet's, and the tests pass as they are.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from fibril import Fiber, getcurrent

HAS_MONITORING = sys.version_info >= (3, 12)


class Recorder:
    """Notes events of functions in this file: "line work+2" is the second line below its def."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        self.note(frame, event, "")
        return self.trace

    def profile(self, frame: FrameType, event: str, arg: Any) -> None:
        self.note(frame, event, f" {arg.__name__}" if event.startswith("c_") else "")

    def note(self, frame: FrameType, event: str, suffix: str) -> None:
        code = frame.f_code
        if code.co_filename == __file__ and code.co_name not in OURS:
            line = frame.f_lineno - code.co_firstlineno
            self.events.append(f"{event} {code.co_name}+{line}{suffix}")

    @contextmanager
    def tracing(self) -> Iterator[list[str]]:
        former = sys.gettrace()
        sys.settrace(self.trace)
        try:
            yield self.events
        finally:
            sys.settrace(former)

    @contextmanager
    def profiling(self) -> Iterator[list[str]]:
        former = sys.getprofile()
        sys.setprofile(self.profile)
        try:
            yield self.events
        finally:
            sys.setprofile(former)


OURS = {"tracing", "profiling", "note", "trace", "profile"}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


# ---- settrace ----


def test_a_trace_function_set_before_sees_both_sides_of_each_switch(recorder: Recorder) -> None:
    main = getcurrent()

    def work(value: int) -> str:
        value += main.switch(value)
        return f"{value}"

    def drive() -> str:
        fiber = Fiber(work)
        got = fiber.switch(1)
        return fiber.switch(got + 1)

    with recorder.tracing() as events:
        assert drive() == "3"
    assert events == [
        "call drive+0", "line drive+1", "line drive+2",
        "call work+0", "line work+1",
        "line drive+3",
        "line work+2", "return work+2",
        "return drive+3",
    ]  # fmt: skip


def test_a_trace_function_set_in_a_fiber_holds_for_the_thread(recorder: Recorder) -> None:
    main = getcurrent()

    def leaf() -> None:
        pass

    def work() -> None:
        sys.settrace(recorder.trace)
        leaf()
        main.switch()
        leaf()

    fiber = Fiber(work)
    fiber.switch()
    assert sys.gettrace() == recorder.trace
    leaf()
    sys.settrace(None)
    assert recorder.events == ["call leaf+0", "line leaf+1", "return leaf+1"] * 2
    fiber.switch()
    assert len(recorder.events) == 6


def test_a_fiber_that_is_parked_when_tracing_begins_is_traced_in_new_calls(
    recorder: Recorder,
) -> None:
    main = getcurrent()

    def leaf() -> None:
        pass

    def work() -> None:
        main.switch()
        leaf()

    fiber = Fiber(work)
    fiber.switch()
    with recorder.tracing() as events:
        fiber.switch()
    assert events == ["call leaf+0", "line leaf+1", "return leaf+1"]


def test_a_parked_frame_that_is_given_a_trace_function_is_traced_from_where_it_goes_on(
    recorder: Recorder,
) -> None:
    """From 3.12 on code is made traceable when it is entered, or while it is on a thread's stack
    when tracing begins; what a parked fiber is in the middle of is neither."""
    main = getcurrent()

    def work() -> int:
        main.switch()
        number = 1
        return -number

    fiber = Fiber(work)
    fiber.switch()
    assert fiber.gr_frame is not None
    fiber.gr_frame.f_trace = recorder.trace
    with recorder.tracing() as events:
        fiber.switch()
    whole = ["line work+2", "line work+3", "return work+3"]
    assert events == ([] if HAS_MONITORING else whole)


def test_tracing_that_ended_while_a_fiber_was_parked_has_ended_in_it(recorder: Recorder) -> None:
    main = getcurrent()

    def work() -> None:
        main.switch()
        main.switch()

    fiber = Fiber(work)
    with recorder.tracing() as events:
        fiber.switch()
    assert events == ["call work+0", "line work+1"]
    fiber.switch()
    with recorder.tracing():
        fiber.switch()
    assert events[2:] == ["return work+2"]


def test_an_exception_thrown_into_a_fiber_is_traced_there(recorder: Recorder) -> None:
    main = getcurrent()

    def work() -> None:
        try:
            main.switch()
        except KeyError:
            main.switch()

    fiber = Fiber(work)
    with recorder.tracing() as events:
        fiber.switch()
        fiber.throw(KeyError)
        with pytest.raises(OSError, match="out"):
            fiber.throw(OSError("out"))
    assert events == [
        "call work+0", "line work+1", "line work+2",
        "exception work+2", "line work+3", "line work+4",
        "exception work+4", "return work+4",
    ]  # fmt: skip


def test_fibers_in_turn_keep_their_own_lines(recorder: Recorder) -> None:
    def left() -> None:
        right_fiber.switch()
        right_fiber.switch()

    def right() -> None:
        left_fiber.switch()

    right_fiber = Fiber(right)
    left_fiber = Fiber(left)
    with recorder.tracing() as events:
        left_fiber.switch()
    assert events == [
        "call left+0", "line left+1",
        "call right+0", "line right+1",
        "line left+2",
        "return right+1",
    ]  # fmt: skip
    left_fiber.switch()
    assert left_fiber.dead


@pytest.mark.parametrize("hook", ["settrace", "setprofile"])
def test_a_fiber_entered_from_a_hook_runs_without_it(hook: str) -> None:
    """The thread is "in its hook" until it returns: as with greenlet, and as in any function that a
    hook calls."""
    seen: list[str] = []

    def leaf() -> None:
        pass

    def work() -> None:
        leaf()
        main.switch()
        leaf()

    def watch(frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and frame.f_code.co_filename == __file__:
            seen.append(frame.f_code.co_name)
        if event == "call" and frame.f_code is trigger.__code__:
            fiber.switch()

    def trigger() -> None:
        pass

    main = getcurrent()
    fiber = Fiber(work)
    former = sys.gettrace() if hook == "settrace" else sys.getprofile()
    set_hook: Callable[[Any], None] = getattr(sys, hook)
    set_hook(watch)
    trigger()
    leaf()
    fiber.switch()
    set_hook(former)
    assert seen == ["trigger", "leaf", "leaf"]


def test_a_fiber_that_a_trace_function_left_in_the_middle_goes_on_being_traced() -> None:
    """The hook itself is parked: nobody is traced until it goes on and returns."""
    seen: list[str] = []
    main = getcurrent()

    def leaf() -> None:
        pass

    def watch(frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and frame.f_code.co_filename == __file__:
            seen.append(frame.f_code.co_name)
            if frame.f_code is pausing.__code__:
                main.switch()

    def pausing() -> None:
        pass

    def work() -> None:
        pausing()
        leaf()

    fiber = Fiber(work)
    former = sys.gettrace()
    sys.settrace(watch)
    fiber.switch()
    leaf()
    fiber.switch()
    leaf()
    sys.settrace(former)
    assert seen == ["work", "pausing", "leaf", "leaf"]


def test_a_traced_frame_may_jump_after_a_switch() -> None:
    main = getcurrent()
    lines: list[int] = []

    def work() -> None:
        main.switch()
        lines.append(2)
        lines.append(3)

    def jump(frame: FrameType, event: str, arg: object) -> Any:
        line = frame.f_lineno - frame.f_code.co_firstlineno
        if frame.f_code is work.__code__ and event == "line" and line == 2:
            frame.f_lineno += 1
        return jump

    fiber = Fiber(work)
    former = sys.gettrace()
    sys.settrace(jump)
    fiber.switch()
    fiber.switch()
    sys.settrace(former)
    assert lines == [3]


# ---- setprofile ----


def test_a_profile_function_sees_both_sides_of_each_switch(recorder: Recorder) -> None:
    main = getcurrent()

    def work() -> None:
        main.switch()

    def drive() -> None:
        fiber.switch()
        fiber.switch()

    fiber = Fiber(work)
    with recorder.profiling() as events:
        drive()
    assert events == [
        "call drive+0", "c_call drive+1 switch",
        "call work+0", "c_call work+1 switch",
        "c_return drive+1 switch", "c_call drive+2 switch",
        "c_return work+1 switch", "return work+1",
        "c_return drive+2 switch", "return drive+2",
    ]  # fmt: skip


def test_a_profile_function_set_while_a_fiber_is_parked_sees_it_end(recorder: Recorder) -> None:
    main = getcurrent()

    def leaf() -> None:
        pass

    def work() -> None:
        main.switch()
        leaf()

    fiber = Fiber(work)
    fiber.switch()
    with recorder.profiling() as events:
        fiber.switch()
    ended = [event for event in events if not event.startswith("c_")]
    assert ended == ["call leaf+0", "return leaf+1", "return work+2"][: 2 if HAS_MONITORING else 3]


# ---- threading ----


@pytest.mark.parametrize("hook", ["settrace", "setprofile"])
def test_threading_sets_it_for_the_fibers_of_new_threads(recorder: Recorder, hook: str) -> None:
    def leaf() -> None:
        pass

    def work() -> None:
        main = getcurrent()
        fiber = Fiber(lambda: [leaf(), main.switch(), leaf()])
        fiber.switch()
        leaf()
        fiber.switch()

    set_hook = getattr(threading, hook)
    set_hook(recorder.trace if hook == "settrace" else recorder.profile)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        set_hook(None)
    assert [event for event in recorder.events if event.startswith("call leaf")] == (
        ["call leaf+0"] * 3
    )


@pytest.mark.skipif(not HAS_MONITORING, reason="settrace_all_threads is new in 3.12")
def test_tracing_set_for_all_threads_reaches_parked_fibers_of_another(recorder: Recorder) -> None:
    is_ready, may_go = threading.Event(), threading.Event()

    def leaf() -> None:
        pass

    def work() -> None:
        main = getcurrent()
        fiber = Fiber(lambda: [main.switch(), leaf()])
        fiber.switch()
        is_ready.set()
        may_go.wait()
        fiber.switch()

    thread = threading.Thread(target=work)
    thread.start()
    is_ready.wait()
    former = sys.gettrace()
    threading.settrace_all_threads(recorder.trace)  # type: ignore[attr-defined,unused-ignore]
    may_go.set()
    thread.join()
    threading.settrace_all_threads(None)  # type: ignore[attr-defined,unused-ignore]
    sys.settrace(former)
    assert "call leaf+0" in recorder.events
