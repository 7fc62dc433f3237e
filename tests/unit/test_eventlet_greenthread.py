"""eventlet.greenthread: what a GreenThread does that a Task does not."""

from tests.conftest import Interpreter

BEGIN = """
from fibril import compat
compat.install("eventlet", "greenlet")
import eventlet
from eventlet import greenthread, hubs
from greenlet import GreenletExit
import eventlet.debug
eventlet.debug.hub_exceptions(False)
def raised(kind, function, *args):
    try:
        function(*args)
    except kind as error:
        return error
    raise AssertionError(f"{function} raised no {kind}")
"""


def test_wait_gives_the_value_or_raises_what_ended_it(interpreter: Interpreter) -> None:
    text = """
thread = eventlet.spawn(pow, 2, 5)
assert thread.wait() == thread.wait() == 32 and thread.dead and not thread
failed = eventlet.spawn(int, "x")
assert raised(ValueError, failed.wait) is raised(ValueError, failed.wait)
def leave():
    raise GreenletExit
raised(GreenletExit, eventlet.spawn(leave).wait)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_kill_before_it_begins_runs_nothing(interpreter: Interpreter) -> None:
    text = """
ran = []
for spawn in (eventlet.spawn, lambda *args: eventlet.spawn_after(60, *args)):
    thread = spawn(ran.append, 1)
    told = []
    thread.link(lambda thread: told.append(thread))
    thread.kill()
    assert thread.dead and not thread and told == [thread]
    raised(GreenletExit, thread.wait)
    thread.kill()
raw = eventlet.spawn_n(ran.append, 1)
assert not raw.dead
eventlet.kill(raw)
assert raw.dead
eventlet.sleep(0)
assert ran == []
"""
    assert interpreter.out(BEGIN + text) == ""


def test_kill_returns_when_the_victim_has_run(interpreter: Interpreter) -> None:
    text = """
seen = []
def body():
    try:
        eventlet.sleep(60)
    except ValueError as error:
        seen.append(error.args)
    eventlet.sleep(0)
    seen.append("end")
for throw_args in ((ValueError("a"),), (ValueError, "a"), (ValueError, ValueError("a"), None)):
    seen.clear()
    thread = eventlet.spawn(body)
    eventlet.sleep(0)
    thread.kill(*throw_args)
    assert seen == [("a",)], seen
    thread.wait()
    assert seen == [("a",), "end"], seen
raised(GreenletExit, eventlet.kill, eventlet.getcurrent())
"""
    assert interpreter.out(BEGIN + text) == ""


def test_kill_in_a_callback_does_not_wait(interpreter: Interpreter) -> None:
    text = """
thread = eventlet.spawn(eventlet.sleep, 60)
eventlet.sleep(0)
hubs.get_hub().schedule_call_global(0, thread.kill)
raised(GreenletExit, thread.wait)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_cancel_stops_only_what_has_not_begun(interpreter: Interpreter) -> None:
    text = """
thread = eventlet.spawn_after(60, int)
thread.cancel()
raised(GreenletExit, thread.wait)
begun = eventlet.spawn(lambda: eventlet.sleep(0.01) or 5)
eventlet.sleep(0)
begun.cancel()
assert begun.wait() == 5
"""
    assert interpreter.out(BEGIN + text) == ""


def test_links_have_arguments_and_may_wait_for_the_thread(interpreter: Interpreter) -> None:
    text = """
told = []
def link(thread, *args, **kwargs):
    told.append((thread.wait(), args, kwargs))
thread = eventlet.spawn(pow, 2, 5)
thread.link(link, 1, a=2)
thread.link(link, 3)
assert thread.unlink(link, 3) and not thread.unlink(link, 3)
assert thread.wait() == 32
assert told == [(32, (1,), {"a": 2})]
thread.link(link, 4)  # it has ended: at once
assert told[1:] == [(32, (4,), {})]
def relink(thread):
    thread.link(link, 5)
again = eventlet.spawn(int)
again.link(relink)
again.wait()
assert told[2:] == [(0, (5,), {})]
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_link_that_fails_keeps_none_of_the_others(interpreter: Interpreter) -> None:
    text = """
told = []
thread = eventlet.spawn(int)
thread.link(lambda thread: 1 // 0)
thread.link(lambda thread: told.append(thread.wait()))
assert thread.wait() == 0 and told == [0]
eventlet.debug.hub_exceptions(True)
thread.link(lambda thread: 1 // 0)
"""
    done = interpreter.run(BEGIN + text)
    assert done.status == 0
    assert done.err.count("ZeroDivisionError") >= 1


def test_a_local_call_ends_with_its_thread(interpreter: Interpreter) -> None:
    text = """
called = []
def body(seconds):
    greenthread.spawn_after_local(0.01, called.append, seconds)
    eventlet.sleep(seconds)
eventlet.spawn(body, 0)
eventlet.spawn(body, 0.05)
eventlet.sleep(0.1)
assert called == [0.05], called
"""
    assert interpreter.out(BEGIN + text) == ""


def test_after_0_seconds_it_stands_in_line(interpreter: Interpreter) -> None:
    text = """
order = []
eventlet.spawn(order.append, 1)
eventlet.spawn_after(0, order.append, 2)
eventlet.spawn(order.append, 3)
eventlet.sleep(0)
assert order == [1, 2, 3]
"""
    assert interpreter.out(BEGIN + text) == ""


def test_sleep_0_lets_each_who_is_ready_run_once(interpreter: Interpreter) -> None:
    text = """
order = []
def body(name):
    for step in range(2):
        order.append(name + str(step))
        eventlet.sleep()
for name in "ab":
    eventlet.spawn_n(body, name)
eventlet.sleep(0)
assert order == ["a0", "b0"], order
eventlet.sleep(-1)
assert order == ["a0", "b0", "a1", "b1"], order
"""
    assert interpreter.out(BEGIN + text) == ""


def test_an_exception_that_comes_later_strikes_who_asked(interpreter: Interpreter) -> None:
    text = """
greenthread.exc_after(0, ValueError, "late")
assert raised(ValueError, eventlet.sleep, 60).args == ("late",)
timer = greenthread.exc_after(0.01, ValueError)
timer.cancel()
eventlet.sleep(0.02)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_nothing_is_kept_of_a_thread_that_failed(interpreter: Interpreter) -> None:
    text = """
import gc, weakref
class Thing: pass
def body(thing):
    raise ValueError
def once(is_linked):
    thing = Thing()
    thread = eventlet.spawn(body, thing)
    if is_linked:
        thread.link(lambda thread: None)
    return weakref.ref(thing)
gc.disable()
for is_linked in (False, True):
    seen = once(is_linked)
    eventlet.sleep(0)
    eventlet.sleep(0)
    assert seen() is None, is_linked
"""
    assert interpreter.out(BEGIN + text) == ""
