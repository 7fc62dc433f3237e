"""What tests of the HTTP server share: a server of one connection, and clients who are scripts."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import fibril
from fibril import _core
from fibril.pywsgi import WSGIHandler, WSGIServer
from fibril.socket import SHUT_WR, socketpair

GET = b"GET / HTTP/1.1\r\nHost: me.invalid\r\n\r\n"
PEER = ("192.0.2.7", 4321)


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [body]


def make_server(application: Any = hello, **options: Any) -> WSGIServer:
    """One that listens nowhere; its errors go to `error_log`, an io.StringIO."""
    options = {"log": None, "error_log": io.StringIO(), **options}
    return WSGIServer("127.0.0.1:0", application, **options)


def talk(server: WSGIServer, data: bytes) -> bytes:
    """What a client gets who sends that, and no more."""
    client, connection = socketpair()
    task = fibril.spawn(server.handle, connection, PEER)
    sending = fibril.spawn(send, client, data)
    with client:
        got = b"".join(iter(lambda: client.recv(65536), b""))
        task.get(timeout=20)
        sending.kill()
    return got


def send(client: Any, data: bytes) -> None:
    try:
        client.sendall(data)
        client.shutdown(SHUT_WR)
    except OSError:
        pass  # refused before its end


def ask(application: Any, data: bytes = GET, **options: Any) -> bytes:
    return talk(make_server(application, **options), data)


class Page(NamedTuple):
    """An answer, as a client reads it; `fields` by names in small letters."""

    status: int
    fields: dict[str, str]
    body: bytes
    is_whole: bool = True


def pages(got: bytes, *methods: str) -> list[Page]:
    """Answers, one behind the other; methods: of the requests, if not all are GET."""
    found = []
    left = list(methods)
    while got:
        head, _, got = got.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        parts = [line.partition(":") for line in lines]
        fields = {name.lower(): value.strip() for name, _, value in parts}
        assert len(fields) == len(lines), f"a field twice: {lines}"
        status = int(first.split()[1])
        method = left.pop(0) if left and status != 100 else "GET"
        body, got, is_whole = _body(status, fields, got, method)
        found.append(Page(status, fields, body, is_whole))
    return found


def _body(
    status: int, fields: dict[str, str], got: bytes, method: str
) -> tuple[bytes, bytes, bool]:
    if method == "HEAD" or status in (100, 204, 304):
        return b"", got, True
    if "content-length" in fields:
        size = int(fields["content-length"])
        return got[:size], got[size:], len(got) >= size
    if fields.get("transfer-encoding") != "chunked":
        return got, b"", True
    body = b""
    while True:
        line, separator, got = got.partition(b"\r\n")
        if not separator:
            return body, b"", False
        size = int(line, 16)
        body += got[:size]
        assert got[size : size + 2] == b"\r\n"
        got = got[size + 2 :]
        if size == 0:
            return body, got, True


def page(got: bytes, method: str = "GET") -> Page:
    (only,) = pages(got, method)
    return only


# ---- scripts ----


class Client:
    """A connection whose client is a script, in simulated time.

    events: (seconds, bytes), each so long after the one before; None: nothing ever. takes: how many
    bytes it takes of what is sent, then it takes no more.
    """

    def __init__(self, *events: tuple[float, bytes] | None, takes: int = 1 << 60) -> None:
        self.events = list(events)
        self.takes = takes
        self.got = b""
        self.timeout: float | None = None
        self.options: list[tuple[Any, ...]] = []
        self.is_closed = False
        self.at = _core.now()

    def settimeout(self, timeout: float | None) -> None:
        self.timeout = timeout

    def recv(self, size: int) -> bytes:
        event: Any = self.events[0] if self.events else (0, b"")
        wait_s = float("inf") if event is None else self.at + event[0] - _core.now()
        if self.timeout is not None and wait_s > self.timeout:
            fibril.sleep(self.timeout)
            raise TimeoutError("timed out")
        assert event is not None, "nobody would end this"
        fibril.sleep(max(wait_s, 0))
        if not self.events:
            return b""
        data: bytes = event[1]
        if len(data) > size:
            self.events[0] = (0, data[size:])
        else:
            del self.events[0]
        self.at = _core.now()
        return data[:size]

    def send(self, data: Any, flags: int = 0) -> int:
        count = min(len(data), self.takes)
        if count == 0:
            assert self.timeout is not None, "nobody would end this"
            fibril.sleep(self.timeout)
            raise TimeoutError("timed out")
        self.takes -= count
        self.got += bytes(data[:count])
        return count

    def sendall(self, data: bytes) -> None:
        assert self.send(data) == len(data)

    def setsockopt(self, *option: Any) -> None:
        self.options.append(option)

    def shutdown(self, how: int) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


def handle(client: Client, application: Any = hello, **settings: Any) -> WSGIServer:
    """Serve that client to its end; settings: attributes of the handler."""
    kind = type("Handler", (WSGIHandler,), settings)
    server = make_server(application, handler_class=kind)
    server.handle(client, PEER)
    assert client.is_closed
    return server


class Pieces:
    """A socket from which these come, and then the end."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]

    def settimeout(self, timeout: float | None) -> None:
        pass

    def recv(self, size: int) -> bytes:
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]


Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
