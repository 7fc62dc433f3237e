"""A web server that is told to end while clients ask: what it was asked is answered."""

import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.programs.child import Child, Start

PROGRAM = """
import signal, sys
import fibril
from fibril.pywsgi import WSGIServer

def application(environ, start_response):
    fibril.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first "
    fibril.sleep(0.005)
    yield environ["QUERY_STRING"].encode()

server = WSGIServer(("127.0.0.1", 0), application, log=None, spawn=SPAWN)
server.stop_timeout = 20
fibril.signal_handler(signal.SIGTERM, server.stop)
server.start()
print(server.server_port, flush=True)
server.serve_forever()
print("ended", flush=True)
"""
CLIENTS = 24


class Asking(threading.Thread):
    """Asks on one connection, again and again, until an answer says that it is the last."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.connection = socket.create_connection(("127.0.0.1", port), 20)
        self.answers = 0
        self.lost = ""
        self.begun = threading.Event()

    def run(self) -> None:
        with self.connection, self.connection.makefile("rb") as file:
            try:
                while self.ask(file):
                    self.begun.set()
            except (OSError, AssertionError, ValueError) as error:
                self.lost = repr(error)
            finally:
                self.begun.set()

    def ask(self, file: "object") -> bool:
        number = self.answers
        self.connection.sendall(b"GET /?%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        fields = {}
        assert file.readline().startswith(b"HTTP/1.1 200 ")  # type: ignore[attr-defined]
        while (line := file.readline()) != b"\r\n":  # type: ignore[attr-defined]
            name, _, value = line.partition(b": ")
            fields[name.lower()] = value.strip()
        body = b""
        while size := int(file.readline(), 16):  # type: ignore[attr-defined]
            body += file.read(size + 2)[:-2]  # type: ignore[attr-defined]
        assert file.readline() == b"\r\n"  # type: ignore[attr-defined]
        assert body == b"first %d" % number
        self.answers += 1
        return fields.get(b"connection") != b"close"


@pytest.mark.parametrize("spawn", ['"default"', "100"])
def test_no_request_is_lost_when_a_server_is_told_to_end(
    start: Start, tmp_path: Path, spawn: str
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.replace("SPAWN", spawn), encoding="utf-8")
    server: Child = start([sys.executable, str(tmp_path / "program.py")])
    port = int(server.line())
    clients = [Asking(port) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        assert client.begun.wait(20)
    os.kill(server.process.pid, signal.SIGTERM)
    for client in clients:
        client.join(20)
    assert [client.lost for client in clients if client.lost] == []
    assert all(client.answers > 1 for client in clients)
    assert (server.finish(), server.rest(), server.errors()) == (0, "ended\n", "")
