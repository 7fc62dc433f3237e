"""eventlet.patcher: what monkey_patch() means, originals, and modules imported anew."""

import textwrap

import pytest

from tests.conftest import Interpreter

BEGIN = """
from fibril import compat
compat.install("eventlet", "greenlet")
import eventlet
from eventlet import patcher
"""

ALL = "os psycopg select socket subprocess thread time"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", ALL),
        ("all=True", ALL),
        ("all=True, socket=True", ALL),
        ("all=False, socket=False, select=True", "select"),
        ("socket=True", "socket"),
        ("socket=True, select=True", "select socket"),
        ("socket=False", "os psycopg select subprocess thread time"),
        ("socket=False, select=True", "select"),
        ("all=True, builtins=True", f"builtins {ALL}"),
        ("all=False", ""),
    ],
)
def test_flags_choose_what_is_patched(
    interpreter: Interpreter, arguments: str, expected: str
) -> None:
    text = f"""
from fibril import monkey
eventlet.monkey_patch({arguments})
print(*sorted(patcher.already_patched))
names = "select socket subprocess time".split()
for name in names:
    assert monkey.is_module_patched(name) == patcher.is_monkey_patched(name), name
assert monkey.is_module_patched("threading") == patcher.is_monkey_patched("thread")
import socket
assert patcher.is_monkey_patched(socket) == patcher.is_monkey_patched("socket")
"""
    assert interpreter.out(BEGIN + text) == expected + "\n"


def test_an_unknown_flag_is_refused(interpreter: Interpreter) -> None:
    done = interpreter.run(BEGIN + "eventlet.monkey_patch(finagle=True)")
    assert "TypeError: monkey_patch() got an unexpected keyword argument 'finagle'" in done.err


def test_after_the_patch_what_waits_lets_others_run(interpreter: Interpreter) -> None:
    text = """
eventlet.monkey_patch()
import queue, socket, subprocess, sys, threading, time
left, right = socket.socketpair()
items, order = queue.Queue(), []
def body():
    order.append(right.recv(1))
    order.append(items.get())
    time.sleep(0.001)
    order.append("end")
thread = threading.Thread(target=body)
thread.start()
left.send(b"x")
eventlet.sleep(0.01)
items.put("item")
thread.join()
assert order == [b"x", "item", "end"]
ticks = []
ticker = eventlet.spawn(lambda: [(ticks.append(1), eventlet.sleep(0.001)) for _ in range(5)])
assert subprocess.run([sys.executable, "-c", "import time; time.sleep(0.05)"]).returncode == 0
assert len(ticks) == 5
"""
    assert interpreter.out(BEGIN + text) == ""


@pytest.mark.parametrize("begin", ["", "eventlet.monkey_patch()\n"])
def test_originals_block_and_have_native_threads(interpreter: Interpreter, begin: str) -> None:
    text = """
import time, threading
blocking = patcher.original("time")
assert patcher.original("time") is blocking and "sleep" in dir(blocking)
ran = []
eventlet.spawn_n(ran.append, 1)
blocking.sleep(0.001)
assert ran == []
native = patcher.original("threading")
assert native is not threading and native.Thread is not threading.Thread
seen = []
thread = native.Thread(target=lambda: seen.append(native.get_native_id()))
thread.start()
thread.join()
assert seen[0] != native.get_native_id() and ran == []
items = patcher.original("queue").Queue()
feeder = native.Thread(target=lambda: (blocking.sleep(0.01), items.put(5)))
feeder.start()
assert items.get() == 5 and ran == []
feeder.join()
assert patcher.original("socket").socket is not None
eventlet.sleep(0)
assert ran == [1]
"""
    assert interpreter.out(BEGIN + begin + textwrap.dedent(text)) == ""


def test_threading_shows_greenthreads(interpreter: Interpreter) -> None:
    text = """
eventlet.monkey_patch()
import threading
main = threading.current_thread()
assert main is threading.main_thread()
def body():
    me = threading.current_thread()
    assert me is threading.current_thread() and me.ident == id(eventlet.getcurrent())
    assert me.is_alive() and me.daemon and me.name == me.getName() == "GreenThread-1"
    me.setName("mine")
    return me
thread = eventlet.spawn(body)
me = thread.wait()
me.join()
assert me.name == "mine" and not me.is_alive() and repr(me).startswith("<_GreenThread(mine")
worker = threading.Thread(target=lambda: seen.append(threading.current_thread()))
native = patcher.original("threading").Thread(target=worker._target)
seen = []
for each in (worker, native):
    each.start()
    each.join()
seen += [eventlet.spawn_n(lambda: seen.append(threading.current_thread())) and main]
eventlet.sleep(0)
assert seen == [worker, native, main, main] and len(threading._active) == 1
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_module_is_imported_anew_on_green_ones(interpreter: Interpreter) -> None:
    interpreter.folder.joinpath("mine.py").write_text(
        "import socket, time, json\nfrom time import sleep\n", encoding="utf-8"
    )
    text = """
import sys, socket, time
import mine
fresh = eventlet.import_patched("mine")
assert fresh is not mine and sys.modules["mine"] is mine and mine.socket is socket
from eventlet.green import socket as green, time as green_time
assert fresh.socket is green and fresh.time is green_time and fresh.sleep is eventlet.sleep
assert fresh.json is mine.json and sys.modules["socket"] is socket and sys.modules["time"] is time
names = {}
patcher.inject("mine", names, ("socket", "anything"))
assert names["socket"] == "anything" and names["time"] is time and "__file__" not in names
import http.client
from eventlet.green.http import client
assert client.HTTPConnection is not http.client.HTTPConnection and client.socket is green
assert sys.modules["http.client"] is http.client is http.client
"""
    assert interpreter.out(BEGIN + text) == ""


def test_green_modules_wait_without_the_patch(interpreter: Interpreter) -> None:
    text = """
import os as stdlib, threading
from eventlet.green import os, select, socket, subprocess, thread, threading as green, time
import sys
ticks = []
def tick():
    while True:
        ticks.append(1)
        eventlet.sleep(0.001)
ticker = eventlet.spawn(tick)
def lets_run(function, *args, **kwargs):
    before = len(ticks)
    result = function(*args, **kwargs)
    assert len(ticks) > before, function
    return result
lets_run(time.sleep, 0.01)
left, right = socket.socketpair()
eventlet.spawn_after(0.01, left.send, b"x")
assert lets_run(right.recv, 1) == b"x"
source, target = stdlib.pipe()
eventlet.spawn_after(0.01, stdlib.write, target, b"x")
assert lets_run(os.read, source, 1) == b"x"
assert lets_run(select.select, [source], [], [], 0.01) == ([], [], [])
lets_run(subprocess.call, [sys.executable, "-c", ""])
assert green.Thread is not threading.Thread
done = []
worker = green.Thread(target=lambda: (time.sleep(0.01), done.append(green.current_thread())))
worker.start()
lets_run(worker.join)
assert done == [worker] and not worker.is_alive()
event = green.Event()
eventlet.spawn_after(0.01, event.set)
assert lets_run(event.wait, 5)
lock = thread.allocate_lock()
lock.acquire()
eventlet.spawn_after(0.01, lock.release)
assert lets_run(lock.acquire)
ticker.kill()
"""
    done = interpreter.run(BEGIN + text)
    assert (done.status, done.err) == (0, "")
