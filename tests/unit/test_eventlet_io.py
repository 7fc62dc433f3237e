"""eventlet's sockets, pipes, servers, native threads and prompts."""

from pathlib import Path

import trustme

from tests.conftest import Interpreter
from tests.unit.served_eventlet import SERVED

BEGIN = (
    SERVED
    + """
import errno, os
import eventlet.debug
from eventlet import greenio, tpool
from eventlet.green import socket
"""
)


def test_a_green_socket_takes_over_another(interpreter: Interpreter) -> None:
    text = """
import socket as stdlib
plain = stdlib.socket()
plain.settimeout(0.25)
number = plain.fileno()
green = greenio.GreenSocket(plain)
assert green.fileno() == number and plain.fileno() == -1 and green.gettimeout() == 0.25
assert isinstance(green, stdlib.socket) and green.fd is green
assert not os.get_blocking(number)
other = socket.socket(set_nonblocking=False)
assert os.get_blocking(other.fileno())
copy = green.dup()
assert copy.fileno() != number and copy.gettimeout() == 0.25 and type(copy) is type(green)
for each in (green, copy, other):
    each.close()
"""
    assert interpreter.out(BEGIN + text) == ""


def test_sockets_wait_time_out_and_refuse(interpreter: Interpreter) -> None:
    text = """
listener = eventlet.listen(("127.0.0.1", 0))
eventlet.spawn(lambda: listener.accept()[0].sendall(b"hello"))
client = eventlet.connect(listener.getsockname())
assert client.recv(5) == b"hello"
left, right = socket.socketpair()
left.settimeout(0)
assert raised(OSError, left.recv, 1).errno == errno.EAGAIN
left.settimeout(0.001)
assert eventlet.is_timeout(raised(TimeoutError, left.recv, 1))
port = listener.getsockname()
listener.close()
raised(OSError, eventlet.connect, port)
greenio.shutdown_safe(listener), greenio.shutdown_safe(socket.socket())
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_reset_connection_is_at_its_end(interpreter: Interpreter) -> None:
    text = """
import struct
listener = eventlet.listen(("127.0.0.1", 0))
for receive in (lambda sock: sock.recv(1), lambda sock: sock.recv_into(bytearray(1))):
    client = eventlet.connect(listener.getsockname())
    peer, _ = listener.accept()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    assert not receive(client)
    client.close()
listener.close()
"""
    assert interpreter.out(BEGIN + text) == ""


def test_who_makes_no_handshake_is_in_nobodys_way(interpreter: Interpreter, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    text = """
both = os.environ["BOTH"]
listener = eventlet.wrap_ssl(eventlet.listen(("127.0.0.1", 0)), both, both, server_side=True)
def handle(conn, address):
    conn.sendall(b"hello " + conn.recv(9))
server = eventlet.spawn(eventlet.serve, listener, handle)
silent = eventlet.connect(listener.getsockname())
client = eventlet.wrap_ssl(eventlet.connect(listener.getsockname()))
client.sendall(b"you")
assert client.recv(9) == b"hello you"
client.close(), silent.close()
server.kill()
"""
    done = interpreter.run(BEGIN + text, "-W", "ignore", BOTH=str(tmp_path / "both.pem"))
    assert done.status == 0, done.err


def test_one_greenthread_reads_a_green_socket(interpreter: Interpreter) -> None:
    text = """
left, right = socket.socketpair()
first = eventlet.spawn(right.recv, 1)
eventlet.sleep(0)
assert "Second simultaneous read" in str(raised(RuntimeError, right.recv_into, bytearray(1)))
eventlet.debug.hub_prevent_multiple_readers(False)
second = eventlet.spawn(right.recv, 1)
eventlet.sleep(0)
left.sendall(b"ab")
assert {first.wait(), second.wait()} == {b"a", b"b"}
for each in (left, right):
    each.close()
"""
    assert interpreter.out(BEGIN + text) == ""


def test_a_listener_shares_its_port_if_it_has_one(interpreter: Interpreter) -> None:
    text = """
import warnings
first = eventlet.listen(("127.0.0.1", 0))
assert first.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
address = first.getsockname()
first.close()
one, two = eventlet.listen(address), eventlet.listen(address)
assert one.getsockname() == two.getsockname()
one.close(), two.close()
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    eventlet.listen(("127.0.0.1", 0), reuse_port=True).close()
assert [each.category.__name__ for each in told] == ["ReuseRandomPortWarning"]
path = os.path.join(os.environ["HERE"], "socket")
eventlet.listen(path, family=socket.AF_UNIX).close()
"""
    assert interpreter.out(BEGIN + text, HERE=str(interpreter.folder)) == ""


def test_serve_calls_a_handler_for_each_connection(interpreter: Interpreter) -> None:
    text = """
eventlet.debug.hub_exceptions(False)
def ask(listener):
    client = eventlet.connect(listener.getsockname())
    client.sendall(b"x")
    return client.recv(9)
listener = eventlet.listen(("127.0.0.1", 0))
server = eventlet.spawn(eventlet.serve, listener, lambda conn, addr: conn.sendall(conn.recv(1)))
assert [ask(listener) for _ in range(3)] == [b"x"] * 3
server.kill()
def stop(conn, addr): raise eventlet.StopServe
def crash(conn, addr): conn.recv(1), 1 // 0
server = eventlet.spawn(eventlet.serve, listener, stop)
client = eventlet.connect(listener.getsockname())
assert server.wait() is None
client = eventlet.spawn(eventlet.connect, listener.getsockname())
assert eventlet.serve(listener, stop) is None  # in main
client.wait().close()
server = eventlet.spawn(eventlet.serve, listener, crash)
assert ask(listener) == b""
raised(ZeroDivisionError, server.wait)
assert eventlet.with_timeout(0.001, eventlet.serve, listener, stop, timeout_value=1) == 1
"""
    assert interpreter.out(BEGIN + text) == ""


def test_pipes_wait(interpreter: Interpreter) -> None:
    text = """
source, target = os.pipe()
reader, writer = greenio.GreenPipe(source, "rb"), greenio.GreenPipe(target, "wb", 0)
eventlet.spawn_after(0.001, writer.write, b"line\\n")
assert reader.readline() == b"line\\n"
writer.close()
assert reader.read() == b""
with greenio.GreenPipe(os.open(os.devnull, os.O_RDONLY)) as text:
    assert text.read() == ""
greenio.set_nonblocking(reader)
assert not os.get_blocking(source)
"""
    assert interpreter.out(BEGIN + text) == ""


def test_calls_in_native_threads(interpreter: Interpreter) -> None:
    text = """
import re, threading, time
eventlet.debug.hub_exceptions(False)
here = threading.get_native_id()
assert tpool.execute(threading.get_native_id) != here
assert raised(ValueError, tpool.execute, int, "x")
raised(eventlet.Timeout, eventlet.with_timeout, 0.01, tpool.execute, time.sleep, 0.1)
assert tpool.execute(tpool.execute, len, "ab") == 2
tpool.set_num_threads(3)
waits = [eventlet.spawn(tpool.execute, lambda n=n: time.sleep(0.01) or n) for n in range(9)]
eventlet.sleep(0)
tpool.killall()
tpool.killall()
assert tpool.execute(len, "abc") == 3
assert [thread.wait() for thread in waits] == list(range(9))
proxy = tpool.Proxy(re)
assert proxy.compile("a").pattern == "a" and raised(AttributeError, lambda: proxy.nope)
numbers = tpool.Proxy([3, 1, 2])
assert list(numbers) == [3, 1, 2] and numbers[0] == 3 and len(numbers) == 3 and 1 in numbers
numbers[0] = 5
numbers.sort()
assert numbers == [1, 2, 5] and str(numbers) == repr(numbers) == "[1, 2, 5]" and bool(numbers)
wrapped = tpool.Proxy({"a": 1, "b": "x"}, autowrap=(int,))
assert isinstance(wrapped.get("a"), tpool.Proxy) and not isinstance(wrapped.get("b"), tpool.Proxy)
by_name = tpool.Proxy({"a": 1}, autowrap_names=("get", "__call__"))
assert isinstance(by_name.get("a"), tpool.Proxy) and tpool.Proxy(len)("ab") == 2
assert list(tpool.Proxy(iter("ab"))) == ["a", "b"]
raised(TypeError, hash, tpool.Proxy([]))
"""
    done = interpreter.run(BEGIN + text)
    assert done.status == 0, done.err


def test_a_pool_of_no_threads_calls_here(interpreter: Interpreter) -> None:
    text = """
import threading, warnings
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    assert tpool.execute(threading.get_native_id) == threading.get_native_id()
assert "Zero threads in tpool" in str(told[0].message)
"""
    assert interpreter.out(BEGIN + text, EVENTLET_THREADPOOL_SIZE="0") == ""
    text = "raised(AssertionError, tpool.execute, len, 'a')"
    assert interpreter.out(BEGIN + text, EVENTLET_THREADPOOL_SIZE="-1") == ""


def test_a_prompt_at_a_socket(interpreter: Interpreter) -> None:
    text = """
import sys
from eventlet import backdoor
listener = eventlet.listen(("127.0.0.1", 0))
usual = sys.stdout
server = eventlet.spawn(backdoor.backdoor_server, listener, {"number": 5})
file = eventlet.connect(listener.getsockname()).makefile("rw")
assert file.readline().startswith("Python ")
assert "help" in file.readline() and "InteractiveConsole" in file.readline()
assert file.read(4) == ">>> "
print("to the program's own")
for line, answer in (("print(number + 1)", "6"), ("number", "5")):
    print(line, file=file, flush=True)
    assert file.readline() == answer + "\\n" and file.read(4) == ">>> "
print("1 // 0", file=file, flush=True)
while "ZeroDivisionError" not in file.readline(): pass
file.close()
gone = eventlet.connect(listener.getsockname())
gone.close()
eventlet.sleep(0.05)
server.kill()
assert sys.stdout is usual
"""
    assert interpreter.out(BEGIN + text) == "to the program's own\n"


def test_http_on_green_sockets(interpreter: Interpreter) -> None:
    text = """
from eventlet.green import BaseHTTPServer
from eventlet.green.urllib.error import HTTPError
from eventlet.green.urllib.request import urlopen
class Handler(BaseHTTPServer.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/" else 404)
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *args): pass
server = BaseHTTPServer.HTTPServer(("127.0.0.1", 0), Handler)
thread = eventlet.spawn(server.serve_forever)
url = "http://127.0.0.1:%d" % server.server_address[1]
assert urlopen(url).read() == b"hello"
assert raised(HTTPError, urlopen, url + "/x").code == 404
thread.kill()
"""
    done = interpreter.run(BEGIN + text, "-W", "ignore")
    assert done.status == 0, done.err
