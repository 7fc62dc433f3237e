"""eventlet.hubs and eventlet.debug: timers, listeners, waits for descriptors, switching by hand."""

from tests.conftest import Interpreter
from tests.unit.served_eventlet import SERVED

BEGIN = (
    SERVED
    + """
import os
import eventlet.debug
from eventlet import hubs
hub = hubs.get_hub()
"""
)


def test_timers_are_called_in_their_order(interpreter: Interpreter) -> None:
    text = """
called = []
hub.schedule_call_global(0.02, called.append, 3)
hub.schedule_call_global(0.01, called.append, 2)
hub.schedule_call_global(0, called.append, 1)
never = hub.schedule_call_global(0.01, called.append, 0)
assert never.pending and hub.get_timers_count() == 4
never.cancel()
assert not never.pending and hub.get_timers_count() == 3
eventlet.sleep(0.03)
assert called == [1, 2, 3] and hub.get_timers_count() == 0, called
hub.schedule_call_global(0, called.append, 0).cancel()
eventlet.sleep(0)
assert called == [1, 2, 3]
again = never.copy().schedule()
eventlet.sleep(0.02)
assert called == [1, 2, 3, 0] and again.called
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_local_timer_is_not_called_when_its_thread_has_ended(interpreter: Interpreter) -> None:
    text = """
called = []
eventlet.spawn(hub.schedule_call_local, 0.001, called.append, 1)
eventlet.sleep(0.01)
assert called == [] and hub.get_timers_count() == 0
hub.schedule_call_local(0.001, called.append, 2)
eventlet.sleep(0.01)
assert called == [2]
"""
    assert interpreter.out(BEGIN + text) == ""


def test_what_a_callback_raises_is_told_and_no_more(interpreter: Interpreter) -> None:
    text = """
hub.schedule_call_global(0, lambda: 1 // 0)
eventlet.sleep(0.001)
eventlet.debug.hub_exceptions(False)
hub.schedule_call_global(0, lambda: [][1])
eventlet.sleep(0.001)
eventlet.debug.hub_exceptions(True)
hub.schedule_call_global(0, lambda: {}[1])
eventlet.sleep(0.001)
def interrupt(): raise KeyboardInterrupt
hub.schedule_call_global(0, interrupt)
raised(KeyboardInterrupt, eventlet.sleep, 60)
"""
    done = interpreter.run(BEGIN + text)
    assert done.status == 0, done.err
    told = [name for name in ("ZeroDivision", "Index", "Key") if f"{name}Error" in done.err]
    assert told == ["ZeroDivision", "Key"]


def test_a_callback_may_switch_and_throw(interpreter: Interpreter) -> None:
    text = """
current = eventlet.getcurrent()
hub.schedule_call_global(0.001, current.switch, "value")
assert hub.switch() == "value"
hub.schedule_call_global(0.001, current.throw, KeyError("k"))
assert raised(KeyError, hub.switch).args == ("k",)
thread = eventlet.spawn(eventlet.sleep, 60)
eventlet.sleep(0)
hub.schedule_call_global(0, thread.throw, ValueError)
eventlet.debug.hub_exceptions(False)
raised(ValueError, thread.wait)
hub.schedule_call_global(0, hub.abort)
hub.switch()
assert not hub.running
"""
    assert interpreter.out(BEGIN + text) == ""


def test_trampoline_waits_for_a_descriptor(interpreter: Interpreter) -> None:
    text = """
source, target = os.pipe()
hubs.trampoline(target, write=True)
hub.schedule_call_global(0.001, os.write, target, b"x")
hubs.trampoline(source, read=True)
assert os.read(source, 1) == b"x"
raised(eventlet.Timeout, hubs.trampoline, source, read=True, timeout=0.001)
raised(KeyError, hubs.trampoline, source, read=True, timeout=0.001, timeout_exc=KeyError("k"))
raised(AssertionError, hubs.trampoline, source)
raised(AssertionError, hubs.trampoline, source, read=True, write=True)
thread = eventlet.spawn(hubs.trampoline, source, read=True)
eventlet.sleep(0)
assert len(hub.get_readers()) == 1 and str(source) in eventlet.debug.format_hub_listeners()
assert "Second simultaneous read" in str(raised(RuntimeError, hubs.trampoline, source, read=True))
eventlet.debug.hub_prevent_multiple_readers(False)
other = eventlet.spawn(hubs.trampoline, source, read=True)
eventlet.sleep(0)
eventlet.debug.hub_prevent_multiple_readers(True)
thread.kill()
os.write(target, b"x")
other.wait()
assert hub.get_readers() == [] == hub.get_writers()
"""
    assert interpreter.out(BEGIN + text) == ""


def test_who_waits_for_a_closed_descriptor_is_told(interpreter: Interpreter) -> None:
    text = """
eventlet.debug.hub_exceptions(False)
for tell in (hubs.notify_close, hubs.notify_opened):
    source, target = os.pipe()
    closed = []
    mark = lambda: closed.append(1)
    thread = eventlet.spawn(hubs.trampoline, source, read=True, mark_as_closed=mark)
    eventlet.sleep(0)
    tell(source)
    assert isinstance(raised(OSError, thread.wait), hubs.IOClosed) and closed == [1]
    os.close(source), os.close(target)
assert hub.get_readers() == []
"""
    assert interpreter.out(BEGIN + text) == ""


def test_listeners_are_called_until_removed(interpreter: Interpreter) -> None:
    text = """
source, target = os.pipe()
called = []
listener = hub.add(hub.READ, source, called.append, None, None)
os.write(target, b"xy")
eventlet.sleep(0.01)
assert set(called) == {source}
count = len(called)
hub.remove(listener), hub.remove(listener)
eventlet.sleep(0.01)
assert len(called) == count and hub.get_readers() == []
"""
    assert interpreter.out(BEGIN + text) == ""


def test_each_hub_by_name_is_fibrils(interpreter: Interpreter) -> None:
    text = """
import fibril
for name in (None, "epolls", "poll", "selects", hubs.get_default_hub()):
    hubs.use_hub(name)
    assert hubs.get_hub().greenlet is fibril.get_hub()
from eventlet.hubs.hub import BaseHub
class Mine(BaseHub): pass
hubs.use_hub(Mine)
assert type(hubs.get_hub()) is Mine
for name in ("kqueue", "asyncio"):
    raised(NotImplementedError, hubs.use_hub, name)
raised(TypeError, hubs.use_hub, object)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_each_thread_has_its_own(interpreter: Interpreter) -> None:
    text = """
import threading
found = []
def run():
    found.append(hubs.get_hub())
    found.append(eventlet.spawn(lambda: eventlet.sleep(0.001) or 5).wait())
thread = threading.Thread(target=run)
thread.start()
thread.join()
assert found[0] is not hub and found[1] == 5
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_trace_shows_lines_and_values(interpreter: Interpreter) -> None:
    text = """
import sys
spew = eventlet.debug.Spew()
number = 5
spew(sys._getframe(), "line", None)
spew(eval("sys._getframe()", {"sys": sys}), "line", None)
eventlet.debug.spew()
assert isinstance(sys.gettrace(), eventlet.debug.Spew)
eventlet.debug.unspew()
assert sys.gettrace() is None
eventlet.debug.format_hub_timers(), eventlet.debug.hub_blocking_detection(True, 1)
eventlet.debug.hub_blocking_detection(False)
"""
    out = interpreter.out(BEGIN + text)
    assert "__main__:" in out
    assert "spew=<eventlet.debug.Spew object at" in out
    assert "[unknown]:1: VM instruction #" in out
