"""eventlet.wsgi, served by fibril: WSGI applications on fibril.pywsgi's handler.

The idea: fibril's handler speaks HTTP; here is what eventlet puts around it: a pool of
greenthreads, its log and its options, and what its applications find in the environment.

Invariant: when server() ends, idle connections are closed, and requests that run are answered.
Threads: owner. It needs httptools: `pip install 'fibril[wsgi]'`.
Do not add: HTTP; that is in fibril.http.
"""

from __future__ import annotations

import errno
import os
import re
import ssl
import sys
import time
import traceback
from collections.abc import Iterator
from socket import SHUT_RD
from typing import Any

import fibril
from fibril.http import h1
from fibril.http.body import Input as _Input
from fibril.http.body import InvalidClientInput as ChunkReadError
from fibril.http.handler import WSGIHandler
from fibril.http.log import NoLog
from fibril.local import local
from fibril.pywsgi import WSGISecureEnviron

from .greenpool import GreenPool

__all__ = [
    "ALREADY_HANDLED",
    "ChunkReadError",
    "HttpProtocol",
    "Input",
    "Server",
    "WSGI_LOCAL",
    "format_date_time",
    "server",
]

DEFAULT_MAX_SIMULTANEOUS_REQUESTS = 1024
DEFAULT_MAX_HTTP_VERSION = "HTTP/1.1"
MAX_REQUEST_LINE = h1.LINE_BYTES_MAX
MAX_HEADER_LINE = 8192
MAX_TOTAL_HEADER_SIZE = h1.HEAD_BYTES_MAX
MINIMUM_CHUNK_SIZE = 4096
DEFAULT_LOG_FORMAT = (
    '%(client_ip)s - - [%(date_time)s] "%(request_line)s"'
    " %(status_code)s %(body_length)s %(wall_seconds).6f"
)
STATE_IDLE, STATE_REQUEST, STATE_CLOSE = "idle", "request", "close"

#: What an application returns that has answered by itself; or it sets WSGI_LOCAL.already_handled.
ALREADY_HANDLED = object()
WSGI_LOCAL = local()

# After these accept() is tried again: the client was gone before we came.
_PASSING = {errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED, errno.EPROTO}
_CLOSED = {errno.EBADF}


def format_date_time(timestamp: float) -> str:
    """A Date field's value."""
    from fibril.http.answer import date_of

    return date_of(timestamp).decode("ascii")


class Input(_Input):
    """The body of a request: wsgi.input, and eventlet.input."""

    __slots__ = ("_connection", "_continue_headers")
    _connection: Any
    _continue_headers: Any

    def get_socket(self) -> Any:
        """The connection, for who speaks another protocol on it."""
        return self._connection

    def set_hundred_continue_response_headers(self, headers: Any) -> None:
        """What 100 Continue says besides, when it is sent: (name, value) pairs."""
        self._continue_headers = headers

    def send_hundred_continue_response(self) -> None:
        """Send 100 Continue, again if it was."""
        fields = self._continue_headers or ()
        lines = [f"{_capitalized(name)}: {value}\r\n" for name, value in fields]
        text = "".join(["HTTP/1.1 100 Continue\r\n", *lines, "\r\n"])
        self.socket = None
        self._connection.sendall(text.encode("latin-1"))

    def _begin(self) -> None:
        if self.socket is not None and self._continue_headers:
            self.send_hundred_continue_response()
        super()._begin()


class HttpProtocol(WSGIHandler):
    """What answers the requests of one connection; server(protocol=…) takes a subclass."""

    minimum_chunk_size = MINIMUM_CHUNK_SIZE  # what an application yields is sent at once
    server: Server

    def __init__(self, sock: Any, address: Any, server: Server) -> None:
        self.MAX_REQUEST_LINE = server.url_length_limit
        super().__init__(sock, address, server)
        self._has_answered = False
        self.is_idle = False  # another protocol is spoken, and may be ended with the server
        if server.socket_timeout is not None:
            self.idle_timeout_s = self.head_timeout_s = server.socket_timeout
            self.body_timeout_s = self.send_timeout_s = server.socket_timeout

    # ---- the request ----

    def handle_one_request(self) -> Any:
        """As fibril's; between requests it waits as long as `keepalive` says."""
        keepalive = self.server.keepalive
        if self._has_answered and not isinstance(keepalive, bool) and keepalive:
            self.idle_timeout_s = keepalive
        return super().handle_one_request()

    def _read_usual(self) -> bool:
        """Read a head. Unlike fibril, eventlet takes one of HTTP/1.1 that names no host."""
        reader = self.rfile
        if reader.closed:
            return False
        self._limit_idle(reader.limit)
        data = reader.read_head(self.head_timeout_s)
        if not data:
            return False
        line, end, fields = data.partition(b"\r\n")
        if line.endswith(b"HTTP/1.1") and not _HOST.search(data):
            data = line + b"\r\nHost:" + end + fields
        self._take_head(h1.parse(data, reader.line_bytes_max), data)
        return True

    def get_environ(self) -> dict[str, Any]:
        """The environment, with eventlet's own names."""
        env = super().get_environ()
        self._has_answered = True
        if not self.server.keepalive or self.server.is_ending:
            self.close_connection = True
        body = self.wsgi_input
        mine = Input(body.rfile, body.content_length, body.socket, body.chunked_input)
        mine.bytes_max, mine.timeout_s = body.bytes_max, body.timeout_s
        mine._connection, mine._continue_headers = self.socket, None
        if body is not self._no_body:
            self.wsgi_input = mine
        env["eventlet.input"] = mine
        if env["wsgi.input"] is body:
            env["wsgi.input"] = mine
        env["eventlet.posthooks"] = []
        env["eventlet.set_idle"] = self._set_idle
        env["RAW_PATH_INFO"] = (self.path or "").partition("?")[0]
        env["headers_raw"] = tuple(self.headers.items())
        env.update({} if isinstance(self.client_address, tuple) else _OF_UNIX)
        return env

    def _set_idle(self) -> None:
        self.is_idle = True

    # ---- the answer ----

    def handle_one_response(self) -> None:
        """As fibril's, and then the posthooks."""
        try:
            super().handle_one_response()
        finally:
            for hook, args, kwargs in self.environ.get("eventlet.posthooks", ()):
                hook(self.environ, *args, **kwargs)

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        """As fibril's; values that are no text are made text."""
        fields = [(name, v if isinstance(v, str) else str(v)) for name, v in headers]
        return super().start_response(status, fields, exc_info)

    def write(self, data: Any) -> None:
        """As fibril's; text is sent if it is ASCII."""
        super().write(data.encode("ascii") if isinstance(data, str) else data)

    def process_result(self) -> None:
        """Send what the application has returned, unless it has answered by itself."""
        if not self.status and isinstance(self.result, Iterator):
            first = next(self.result, b"")  # only now it begins, and may answer by itself
            self.result = _with_first(first, self.result)
        is_handled = vars(WSGI_LOCAL).pop("already_handled", False)
        if is_handled or self.result is ALREADY_HANDLED:
            self.status, self.close_connection = "-", True
        else:
            super().process_result()

    def finalize_headers(self) -> None:
        """As fibril's; names are capitalized, and a limit of keep-alive is told."""
        super().finalize_headers()
        keepalive = self.server.keepalive
        words = [word.lower() for word in self.environ.get("HTTP_CONNECTION", "").split(", ")]
        if not self.close_connection and "keep-alive" in words and not self._provided_connection:
            if self.request_version != "HTTP/1.0":  # which fibril has told
                self.response_headers.append((b"Connection", b"keep-alive"))
            if not isinstance(keepalive, bool):
                self.response_headers.append((b"Keep-Alive", b"timeout=%d" % keepalive))
        if self.server.capitalize_response_headers:
            self.response_headers = [
                (_capitalized(name.decode("latin-1")).encode("latin-1"), value)
                for name, value in self.response_headers
            ]

    def _send_error_response_if_possible(self, error_code: int) -> None:
        if error_code != 500 or self.response_length or (self.code is None and self.headers_sent):
            super()._send_error_response_if_possible(error_code)
            return
        body = traceback.format_exc().encode() if self.server.debug else b""
        self.headers_sent = self.response_use_chunked = False
        try:
            self.start_response(
                "500 Internal Server Error",
                [
                    ("Content-Type", "text/plain"),
                    ("Connection", "close"),
                    ("Content-Length", str(len(body))),
                ],
            )
            self.write(body)
        except OSError:
            self.close_connection = True

    # ---- logs ----

    def _log_error(self, t: Any, v: Any, tb: Any) -> None:
        if not issubclass(t, fibril.GreenletExit):
            self.server.log.write("".join(traceback.format_exception(t, v, tb)))

    def format_request(self) -> str:
        """The line for the log, as log_format says."""
        address = self.client_address
        is_internet = isinstance(address, tuple)
        client = address[0] if is_internet else "unix"
        forwarded = self.headers.get("X-Forwarded-For", "") if self._head is not None else ""
        if forwarded and self.server.log_x_forwarded_for:
            client = ",".join([*(each.strip() for each in forwarded.split(",")), client])
        status = self._orig_status or self.status or "000"
        line: str = self.server.log_format % {
            "client_ip": client,
            "client_port": address[1] if is_internet else "",
            "date_time": time.strftime("%d/%b/%Y %H:%M:%S"),
            "request_line": self.requestline,
            "status_code": str(status).split(maxsplit=1)[0],
            "body_length": self.response_length,
            "wall_seconds": self.time_finish - self.time_start,
        }
        return line


def _with_first(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest  # closed with this


def _capitalized(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


_HOST = re.compile(rb"\r\nhost[ \t]*:", re.IGNORECASE)
_OF_UNIX = {"REMOTE_ADDR": "unix", "REMOTE_PORT": "", "SERVER_NAME": "unix", "SERVER_PORT": ""}


class _Lines:
    """A log as a file: of lines, of a logger's, or of nothing."""

    def __init__(self, log: Any) -> None:
        self._log = sys.stderr if log is None else log

    def write(self, text: str) -> None:
        if hasattr(self._log, "info"):
            self._log.info(text.rstrip())
        else:
            self._log.write(text)

    def flush(self) -> None:
        """Nothing is kept back."""


class Server:
    """What the handlers of all connections share; server() makes it."""

    secure_environ_class = WSGISecureEnviron
    last_request_s = 0.25

    def __init__(
        self, socket: Any, address: Any, app: Any, log: Any = None, environ: Any = None, **more: Any
    ) -> None:
        self.socket, self.address, self.application = socket, address, app
        is_silent = not more.pop("log_output", True)
        self.log: Any = NoLog() if is_silent else _Lines(log)
        self.error_log = self.log
        self.protocol = more.pop("protocol", HttpProtocol)
        self.keepalive: Any = more.pop("keepalive", True)
        self.log_format = more.pop("log_format", DEFAULT_LOG_FORMAT)
        self.log_x_forwarded_for = more.pop("log_x_forwarded_for", True)
        self.url_length_limit = more.pop("url_length_limit", MAX_REQUEST_LINE)
        self.debug = more.pop("debug", True)
        self.socket_timeout = more.pop("socket_timeout", None)
        self.capitalize_response_headers = more.pop("capitalize_response_headers", True)
        more.pop("max_http_version", None)  # there is one
        more.pop("minimum_chunk_size", None)  # nothing is kept back
        if more:
            raise TypeError(f"wsgi.server() got an unexpected keyword argument {min(more)!r}")
        self.is_ending = False  # each answer is the last of its connection
        self._handlers: set[HttpProtocol] = set()
        self.environ = {**self._base_environ(), **(environ or {})}

    def _base_environ(self) -> dict[str, Any]:
        is_tls = isinstance(self.socket, ssl.SSLSocket)
        name, port = self.address[:2] if isinstance(self.address, tuple) else ("unix", "")
        return {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SCRIPT_NAME": "",
            "SERVER_NAME": str(name),
            "SERVER_PORT": str(port),
            "SERVER_SOFTWARE": f"fibril/{fibril.__version__}",
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.url_scheme": "https" if is_tls else "http",
        }

    def get_environ(self) -> dict[str, Any]:
        """What a new environment begins with: a copy."""
        return dict(self.environ)

    def process_request(self, conn_state: Any) -> None:
        """Answer the requests of a connection: [address, socket, STATE_IDLE]."""
        address, connection = conn_state[:2]
        handler = self.protocol(connection, address, self)
        self._handlers.add(handler)
        try:
            handler.handle()
        except (OSError, ValueError):
            pass  # of the connection: the client is gone
        finally:
            self._handlers.discard(handler)
            connection.close()

    def end(self) -> None:
        """Connections end with their next answer; soon those on which no request has come."""
        self.is_ending = True
        if self._handlers:  # what is under way to them is still read
            fibril.spawn_later(self.last_request_s, self._dismiss_idle)

    def _dismiss_idle(self) -> None:
        for handler in list(self._handlers):
            if handler.is_idle or getattr(getattr(handler, "rfile", None), "is_idle", False):
                try:
                    handler.socket.shutdown(SHUT_RD)
                except OSError:
                    pass  # the client was faster

    def url(self) -> str:
        """Where it is."""
        scheme = self.environ["wsgi.url_scheme"]
        if not isinstance(self.address, tuple):
            return f"{scheme}:{self.address}"
        host, port = self.address[:2]
        host = f"[{host}]" if ":" in host else host
        usual = {"http": 80, "https": 443}[scheme]
        return f"{scheme}://{host}/" if port == usual else f"{scheme}://{host}:{port}"


def server(
    sock: Any,
    site: Any,
    log: Any = None,
    environ: Any = None,
    max_size: int | None = None,
    *,
    custom_pool: Any = None,
    server_event: Any = None,
    **options: Any,
) -> None:
    """Serve a WSGI application on a listening socket, until killed, or the socket is closed.

    log: a file, or a logger; stderr by default. environ: what environments have beside the usual.
    max_size: how many connections at once. custom_pool: a GreenPool to use. keepalive: False closes
    after each answer; a number: seconds to wait for the next request. options besides: protocol,
    log_output, log_format, log_x_forwarded_for, url_length_limit, debug (whether clients see
    tracebacks), socket_timeout, capitalize_response_headers.

    Switches: if it must wait. Threads: owner. Raises ImportError without httptools.
    """
    h1.require_parser()
    made = Server(sock, sock.getsockname(), site, log, environ, **options)
    if server_event is not None:
        server_event.send(made)
    pool = custom_pool or GreenPool(max_size or DEFAULT_MAX_SIMULTANEOUS_REQUESTS)
    made.log.write(f"({os.getpid()}) wsgi starting up on {made.url()}\n")
    try:
        _accept_all(sock, made, pool)
    finally:
        sock.close()
        made.end()
        pool.waitall()
        made.log.write(f"({os.getpid()}) wsgi exited\n")


def _accept_all(sock: Any, made: Server, pool: Any) -> None:
    """Until somebody closes the socket, or interrupts."""
    while True:
        try:
            connection, address = sock.accept()
        except ssl.SSLError:
            continue  # of that client
        except OSError as error:
            if error.errno in _CLOSED:
                return
            if error.errno not in _PASSING:
                raise
            continue
        except (KeyboardInterrupt, SystemExit):
            return
        if made.debug:
            made.log.write(f"({os.getpid()}) accepted {address!r}\n")
        pool.spawn(made.process_request, [address, connection, STATE_IDLE])
        del connection
