"""How many system calls a connection costs, counted by strace."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

CLIENTS = 100
LIMIT_S = 60
SERVER = """
import os, sys
import fibril, fibril.socket
listener = fibril.socket.create_server(("127.0.0.1", 0), backlog=200)
print(listener.getsockname()[1], flush=True)

def handle(conn):
    while data := conn.recv(100):
        conn.sendall(data)
    conn.close()

def serve(count):
    tasks = []
    for _ in range(count):
        conn, address = listener.accept()
        tasks.append(fibril.spawn(handle, conn))
        del conn
    fibril.joinall(tasks)

for name in ("warm", "counted"):
    sys.stdin.readline()  # the clients are there
    os.access("/begin-" + name, 0)
    serve(int(sys.argv[1]))
    os.access("/end-" + name, 0)
    print(name, flush=True)
"""
STREAM_SERVER = """
import os, sys
import fibril.socket
from fibril.event import Event
from fibril.server import StreamServer
listener = fibril.socket.create_server(("127.0.0.1", 0), backlog=200)
print(listener.getsockname()[1], flush=True)

class Server(StreamServer):
    over = Event()

    def handle(self, conn, address):
        while data := conn.recv(100):
            conn.sendall(data)

    def do_close(self, conn, address):
        super().do_close(conn, address)
        self.left -= 1
        if self.left == 0:
            self.over.set()

server = Server(listener, spawn=1000)
for name in ("warm", "counted"):
    sys.stdin.readline()  # the clients are there
    server.left = int(sys.argv[1])
    server.over.clear()
    os.access("/begin-" + name, 0)
    server.start()
    server.over.wait()
    server.stop_accepting()
    os.access("/end-" + name, 0)
    print(name, flush=True)
"""


@cache
def reason_to_skip() -> str:
    """Why strace cannot be used here; empty if it can."""
    if os.environ.get("FIBRIL_SANITIZER"):
        return "strace would follow the sanitizer, too"
    if shutil.which("strace") is None:
        return "there is no strace on this machine (Debian: apt install strace)"
    done = subprocess.run(
        ["strace", "-o", os.devnull, "true"], capture_output=True, text=True, check=False
    )
    return f"strace may not run programs here: {done.stderr[-500:]}" if done.returncode else ""


def calls_between(trace: str, name: str) -> Counter[str]:
    between = trace.partition(f'"/begin-{name}"')[2].partition(f'"/end-{name}"')[0]
    return Counter(re.findall(r"^(?:\d+ +)?(\w+)\(", between, re.MULTILINE)[:-1])


@contextmanager
def be_clients(port: int) -> Iterator[None]:
    """Ask all at once, which starts the server's work, and see that each is answered."""
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
    for client in clients:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
    yield
    for client in clients:
        with client:
            assert client.recv(100) == b"request"
            assert client.recv(100) == b""


def serve(program: str, trace: Path) -> None:
    """Two rounds of clients, of which the first warms the server up."""
    command = ["strace", "-f", "-o", str(trace), sys.executable, "-c", program, str(CLIENTS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe) as server:
        assert server.stdin
        assert server.stdout
        port = int(server.stdout.readline())
        for _ in range(2):
            with be_clients(port):
                server.stdin.write("go\n")
                server.stdin.flush()
            server.stdout.readline()
        server.stdin.close()
        assert server.wait(LIMIT_S) == 0


@pytest.mark.parametrize("is_patched", [False, True])
@pytest.mark.parametrize("program", [SERVER, STREAM_SERVER], ids=["accept", "StreamServer"])
def test_a_connection_costs_five_system_calls(
    tmp_path: Path, program: str, is_patched: bool
) -> None:
    """Its request is there when it is accepted, and its end when it was answered. A share of what
    the hub asks, of the listener's mode and of memory is in it."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    if is_patched:
        program = "from fibril import monkey\nmonkey.patch_all()\n" + program
        program = program.replace("fibril.socket.", "socket.").replace("fibril.socket", "socket")
    serve(program, tmp_path / "trace")
    calls = calls_between((tmp_path / "trace").read_text(encoding="utf-8"), "counted")
    for name, each in {"accept4": 1, "recvfrom": 2, "sendto": 1, "close": 1}.items():
        assert each * CLIENTS <= calls.pop(name) <= each * CLIENTS + 2, name
    assert calls.total() <= CLIENTS / 5, calls
