"""WSGIHandler: the requests of one connection, one after the other, for a WSGI application.

The idea: as a rule a head is read in one piece, and an environment made of it. gevent's handlers
have a method for each step, and programs override them: all are called, but those that read line by
line (read_requestline, read_request, MessageClass) only where somebody has overridden one of them;
what they read is judged by the same rules.

Invariants: a request is answered before the next one is looked at. A connection goes on only if it
is certain where the next request begins. Whatever an application does, its connection is closed or
at the beginning of a request when the handler has returned; a client that does nothing is waited
for as long as the deadlines say.
Do not add: HTTP's rules (h1.py, body.py), what is sent (answer.py).
"""

from __future__ import annotations

import io
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from socket import SHUT_WR, SO_LINGER, SOL_SOCKET
from time import time
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from fibril import _core
from fibril.errors import GreenletExit
from fibril.http import h1
from fibril.http.answer import Answer, ClientStalledError, date_of
from fibril.http.body import Input, InvalidClientInput
from fibril.http.h1 import Head, InvalidClientRequest
from fibril.http.log import NoLog
from fibril.http.message import message_of, read_message
from fibril.http.reader import Reader
from fibril.server import say_farewell
from fibril.timeout import Timeout

__all__ = ["WSGIHandler"]

_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}
_LINGER_BYTES_MAX = 1 << 20
# After so many requests of one connection others have a turn. Without that, three clients that sent
# one behind the other kept all others waiting for more than a second; it costs 0.1 µs a request.
_TURN_REQUESTS = 16


class WSGIHandler(Answer):
    """What answers the requests of one connection: WSGIServer.handle() makes one, and has it do so.

    sock: the connection; address: the client's; server: the WSGIServer. rfile: a buffered file to
    read requests from, in the place of the socket.

    Subclasses may override its methods, and the deadlines and sizes below. Its attributes are the
    current request's: `environ`, `headers`, `command`, `path` (as it was sent), `request_version`,
    `requestline`, `client_address`, `socket`, `rfile`, `wsgi_input`.

    Switches: if it must wait. Threads: owner.
    """

    protocol_version = "HTTP/1.1"

    #: Bytes of a request's line from which on it is refused, with 414.
    MAX_REQUEST_LINE = h1.LINE_BYTES_MAX
    #: Seconds that a client may send nothing before a request; then the connection is closed, and
    #: from the first byte of a request's head to its last: then it is answered with 408. None: any.
    idle_timeout_s: float | None = 60.0
    head_timeout_s: float | None = 30.0
    #: Seconds that a client may send nothing of a body that somebody reads; then 408. None: any.
    body_timeout_s: float | None = 60.0
    #: Bytes of a body from which on it is refused, with 413. None: it is as large as it likes, for
    #: it is not kept here.
    body_bytes_max: int | None = None
    #: Bytes of a body that are read where the application has not; behind more than that the
    #: connection is closed.
    discard_bytes_max = 65536
    #: Seconds that a connection is kept where the client may still be sending, so that it sees the
    #: answer, and not that the connection was reset.
    linger_s = 1.0

    client_address: Any
    rfile: Any

    # Called while an exception is handled that read_request() should not have raised.
    _print_unexpected_exc = staticmethod(traceback.print_exc)

    path: str | None = None
    requestline: str | None = None
    content_length: int | None = 0
    wsgi_input: Any = None
    time_start: float = 0
    time_finish: float = 0

    _head: Head | None = None  # of the request, where it was read in the usual way
    _head_bytes = b"\r\n\r\n"
    _message: Any = None  # made of it when asked for
    _is_unlimited = False  # the client may be silent: this is, or becomes, another protocol
    _is_unread = False  # the client may be sending what nobody will read

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
        self.socket = sock
        self.client_address = address
        self.server = server
        self._is_usual = rfile is None and _reads_as_usual(type(self))
        if rfile is None:
            rfile = Reader(sock, self.MAX_REQUEST_LINE)
            self._limit = rfile.limit
        self.rfile = rfile
        self._no_body = Input(rfile, None)
        self._peer: dict[str, str] = {}
        if isinstance(address, tuple):
            self._peer = {"REMOTE_ADDR": str(address[0]), "REMOTE_PORT": str(address[1])}

    # ---- the connection ----

    def handle(self) -> None:
        """Answer requests until the connection ends, and close it."""
        answered = 0
        try:
            while self.socket is not None and (result := self.handle_one_request()) is not None:
                if result is not True:
                    self._refuse(*result)
                    break
                answered += 1
                if answered % _TURN_REQUESTS == 0:
                    _give_way()
        finally:
            self._close()

    def _refuse(self, status: Any, answer: bytes) -> None:
        """Send an answer that is no application's, the last one."""
        self.time_start = self.time_finish = time()
        self.status, self._orig_status = status, None
        self.response_length = 0
        self._is_unread = True
        try:
            self._sendall(answer)
        except OSError:
            pass  # it is gone, or takes nothing
        self.log_request()

    def _close(self) -> None:
        """Close the connection, whoever has a file of it."""
        sock = self.__dict__.pop("socket", None)
        rest = getattr(self.__dict__.pop("rfile", None), "has_more", False)
        if sock is None:
            return
        try:
            if self._is_cut:  # reset: else the end would be taken for the body's
                sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            else:
                say_farewell(sock)
                if self._is_unread or rest:
                    self._linger(sock)
        except OSError:
            pass
        finally:
            sock.close()

    def _linger(self, sock: Any) -> None:
        """Take what the client has under way: to close now would reset the connection, and then it
        may never see the answer."""
        sock.shutdown(SHUT_WR)
        until, left = _core.now() + self.linger_s, _LINGER_BYTES_MAX
        while (remaining_s := until - _core.now()) > 0 and left > 0:
            sock.settimeout(remaining_s)
            data = sock.recv(16384)
            if not data:
                break
            left -= len(data)

    # ---- a request ----

    def handle_one_request(self) -> Any:
        """Read a request, and answer it.

        Returns True if the connection goes on; None if it ends; (status, answer) for a request that
        is refused, with the bytes to send.
        """
        try:
            if not (self._read_usual() if self._is_usual else self._read_by_lines()):
                return None
        except OSError:
            return None
        except Exception as error:
            return self._handle_client_error(error)
        self.environ = self.get_environ()
        self.application = self.server.application
        self.handle_one_response()
        if self.close_connection or self._is_unasked():
            return None
        return True

    def _read_usual(self) -> bool:
        """Read a head in one piece. False: there is none."""
        reader = self.rfile
        if reader.closed:
            return False
        self._limit_idle(reader.limit)
        self.requestline = None  # in the log of what is refused
        data = reader.read_head(self.head_timeout_s)
        if not data:
            return False
        self._take_head(h1.parse(data, reader.line_bytes_max), data)
        return True

    def _take_head(self, head: Head, data: bytes) -> None:
        """Set what handlers have as attributes."""
        self._head, self._head_bytes, self._message = head, data, None
        self.requestline, self.command, self.path = head.line, head.method, head.target
        self.request_version = head.version
        self.content_length = head.content_length
        self.close_connection = head.is_last
        if head.is_upgrade is not self._is_unlimited:
            self._set_unlimited(head.is_upgrade)
        if self.body_bytes_max is not None and (head.content_length or 0) > self.body_bytes_max:
            raise InvalidClientRequest("the body is too large", 413)

    def _set_unlimited(self, is_unlimited: bool) -> None:
        """In another protocol, a WebSocket's for example, silence means nothing."""
        self._is_unlimited = is_unlimited
        limit = getattr(self.rfile, "limit", None)
        self._limit = None if is_unlimited else limit
        if limit is not None and is_unlimited:
            limit(None)

    def _must_close(self) -> bool:
        return self._is_unasked() or getattr(self.server, "is_ending", False)

    def _is_unasked(self) -> bool:
        """Is there a body that the client was not asked for? It may come, or not."""
        body = self.wsgi_input
        return body is not self._no_body and getattr(body, "socket", None) is not None

    def _limit_idle(self, limit: Callable[[float | None], None]) -> None:
        """Once the server is stopping, there is one more request for those who had no answer that
        told them."""
        server = self.server
        limit(server.last_request_s if getattr(server, "is_ending", False) else self.idle_timeout_s)

    # ---- reading line by line, for those who override that ----

    def _read_by_lines(self) -> bool:
        """Read a head by the methods that are there for it. False: there is none."""
        if self.rfile.closed:
            return False
        self._head = self._message = None
        if self._limit is None:
            return self._read_lines()
        self._limit_idle(self._limit)
        if not self.rfile.wait_for_head():
            return False
        late = InvalidClientRequest("the head did not come in time", 408)
        with Timeout(self.head_timeout_s, late):
            return self._read_lines()

    def _read_lines(self) -> bool:
        line: Any = self.read_requestline()
        if isinstance(line, bytes):
            line = line.decode("latin-1")
        self.requestline = line
        if not line:
            return False
        if len(line) >= self.MAX_REQUEST_LINE:
            raise InvalidClientRequest("the request's line is too long", 414)
        if not self.read_request(line):
            raise InvalidClientRequest("the request was not read")
        return True

    def read_requestline(self) -> str:
        """Read a request's line, and return it; "" if the client has closed.

        To be overridden; it is not called otherwise.
        """
        line = self.rfile.readline(self.MAX_REQUEST_LINE)
        if line == b"\r\n":  # left over from an older client's body
            line = self.rfile.readline(self.MAX_REQUEST_LINE)
        return line.decode("latin-1")  # type: ignore[no-any-return]

    def read_request(self, raw_requestline: str) -> bool:
        """Read the rest of a head, and set what is known of the request.

        To be overridden; it is not called otherwise. Returns True. Raises ValueError for a request
        to be refused.
        """
        fields = self._read_field_lines()
        head = raw_requestline.removesuffix("\r\n").encode("latin-1") + b"\r\n" + fields
        self._take_head(h1.parse(head, self.MAX_REQUEST_LINE), head)
        message = self.MessageClass(io.BytesIO(fields), 0)
        if message.status:
            raise InvalidClientRequest(f"the fields cannot be read: {message.status}")
        self.headers = message
        return True

    def _read_field_lines(self) -> bytes:
        lines: list[bytes] = []
        left = h1.HEAD_BYTES_MAX
        while not lines or lines[-1] != b"\r\n":
            line = self.rfile.readline(left)
            left -= len(line)
            if left <= 0:
                raise InvalidClientRequest(f"a head of more than {h1.HEAD_BYTES_MAX} bytes", 431)
            if not line.endswith(b"\r\n"):
                raise InvalidClientRequest("a field that does not end")
            lines.append(line)
        return b"".join(lines)

    def MessageClass(self, *args: Any) -> Any:  # noqa: N802  # gevent's name
        """Make `headers` of a file with fields: MessageClass(file, 0). To be overridden."""
        return read_message(*args)

    @property
    def headers(self) -> Any:
        """The request's fields, as an http.client.HTTPMessage."""
        if self._message is None:
            self._message = message_of(self._head_bytes)
        return self._message

    @headers.setter
    def headers(self, message: Any) -> None:
        self._message = message

    # ---- the environment ----

    def get_environ(self) -> dict[str, Any]:
        """The environment for the application: server.get_environ(), and what the request says."""
        env: dict[str, Any] = self.server.get_environ()
        target = self.path or ""
        if not target.startswith("/"):
            target = _path_of(target)
        path, _, env["QUERY_STRING"] = target.partition("?")
        env["PATH_INFO"] = unquote(path, "latin-1") if "%" in path else path
        env["SCRIPT_NAME"] = ""
        env["REQUEST_METHOD"] = self.command
        env["SERVER_PROTOCOL"] = self.request_version
        env.update(self._peer)
        head = self._head
        if self._is_usual and head is not None:
            env.update(head.fields)
        else:
            self._add_fields(env)
        if head is not None and head.content_length is None and not head.is_chunked:
            self.wsgi_input = self._no_body
        else:
            self.wsgi_input = self._make_input(env)
        # What another protocol sends has no end that we know of.
        env["wsgi.input"] = self.rfile if self._is_unlimited else self.wsgi_input
        env["wsgi.input_terminated"] = not self._is_unlimited
        return env

    def _add_fields(self, env: dict[str, Any]) -> None:
        """What `headers` has, which subclasses may have changed."""
        if self.headers.typeheader is not None:
            env["CONTENT_TYPE"] = self.headers.typeheader
        length = self.headers.getheader("content-length")
        if length:
            env["CONTENT_LENGTH"] = length
        for key, value in self._headers():
            if key in env:
                env[key] += ("; " if "COOKIE" in key else ",") + value
            else:
                env[key] = value

    def _headers(self) -> Iterator[tuple[str, str]]:
        """The fields by CGI's names."""
        for name, value in self.headers.items():
            key = h1.key_of(name.encode("latin-1"))
            if key.startswith("HTTP_"):
                yield key, value.strip()

    def _make_input(self, env: dict[str, Any]) -> Input:
        """The body of a request that has one, or that was read by somebody else."""
        head = self._head
        is_chunked = env.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
        expects = env.get("HTTP_EXPECT", "").lower() == "100-continue"
        if head is not None:
            is_chunked, expects = head.is_chunked, head.expects_continue
        asked = self.socket if expects and (is_chunked or self.content_length) else None
        body = Input(self.rfile, self.content_length, asked, is_chunked)
        body.bytes_max = self.body_bytes_max
        if self._limit is not None:
            body.timeout_s = self.body_timeout_s
        return body

    # ---- the answer ----

    def handle_one_response(self) -> None:
        """Call the application for a request that has been read, and send its answer.

        Errors are handled here: the application's by handle_error().
        """
        self.time_start = time()
        self.status = self._orig_status = self.result = None
        self.headers_sent = self.response_use_chunked = False
        self.response_length = 0
        try:
            self.run_application()
        except InvalidClientInput as error:
            self._handle_client_error(error)
            self._send_error_response_if_possible(error.status)
            self.close_connection = True
        except ClientStalledError:
            self._is_cut = self.close_connection = True
        except GreenletExit:  # the server's end, or whoever has killed the task
            self._is_cut = self.close_connection = True
            raise
        except OSError as error:
            if error.args and error.args[0] in self.ignored_socket_errors:
                self.close_connection = True
            else:
                self.handle_error(*sys.exc_info())
        except BaseException:
            self.handle_error(*sys.exc_info())
        finally:
            if self.wsgi_input is not self._no_body:
                self._leave_input()
            self.time_finish = time()
            self.log_request()

    def _leave_input(self) -> None:
        """The next request begins behind the body, whether the application has read it or not."""
        body = self.wsgi_input
        if body is None or getattr(body, "is_at_end", False):
            return
        if self.close_connection or not self._pass_body(body):
            self.close_connection = self._is_unread = True

    def _pass_body(self, body: Any) -> bool:
        """Take what the application has left of it. False: nobody knows where it ends."""
        late = InvalidClientInput("the body did not come in time", 408)
        try:
            with Timeout(self.body_timeout_s, late):  # all of it: nobody has asked for it
                return bool(body._discard(self.discard_bytes_max))
        except InvalidClientInput as error:
            self._handle_client_error(error)
        except OSError:
            pass  # the client is gone
        return False

    def handle_error(self, t: Any, v: Any, tb: TracebackType | None) -> None:
        """The application has raised: tell of it, and answer with 500 if nothing has been sent."""
        self._log_error(t, v, tb)
        self._send_error_response_if_possible(500)

    def _log_error(self, t: Any, v: Any, tb: TracebackType | None) -> None:
        if issubclass(t, GreenletExit):
            return
        context = self.environ
        secure = self.server.secure_environ_class
        if not isinstance(context, secure):
            context = secure(context)
        hub: Any = _core.get_hub()
        hub.handle_error(context, t, v, tb)

    def _send_error_response_if_possible(self, error_code: int) -> None:
        """Answer with an error; if a part of another answer was sent, the client must see that it
        is no more than a part."""
        if self.response_length:
            is_visible = self.response_use_chunked or self._left is not None
            self._is_cut = not is_visible
            self.close_connection = True
            return
        phrase = _PHRASES[error_code]
        body = phrase.encode("latin-1")
        self.headers_sent = self.response_use_chunked = False
        fields = [
            ("Content-Type", "text/plain"),
            ("Connection", "close"),
            ("Content-Length", str(len(body))),
        ]
        try:
            self.start_response(f"{error_code} {phrase}", fields)
            self.write(body)
        except OSError:
            self.close_connection = True

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        """The answer to a request that is refused."""
        if not isinstance(ex, (ValueError, InvalidClientInput)):
            self._print_unexpected_exc()
        status = getattr(ex, "status", 400)
        what = str(ex) or type(ex).__name__
        self.log_error("Invalid request (from %s): %s", self.client_address, what)
        body = f"{_PHRASES[status]}: {ex}\n" if isinstance(ex, InvalidClientRequest) else ""
        text = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\nDate: {date_of(time()).decode()}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return str(status), (text + body).encode("latin-1", "replace")

    # ---- logs ----

    def log_error(self, msg: str, *args: Any) -> None:
        """Write a line to the server's error_log."""
        try:
            message = msg % args
        except (TypeError, ValueError):
            message = f"{msg!r} {args!r}"
        self.server.error_log.write(f"{message}\n")

    def log_request(self) -> None:
        """Write a line for the request to the server's log, if it has one."""
        log = self.server.log
        if type(log) is not NoLog:
            log.write(self.format_request() + "\n")

    def format_request(self) -> str:
        """The line for the log, without its end."""
        address = self.client_address
        now = datetime.now().replace(microsecond=0)
        status = str(self._orig_status or self.status or "000").split()[0]
        took = f"{self.time_finish - self.time_start:.6f}" if self.time_finish else "-"
        return (
            f"{(address[0] if isinstance(address, tuple) else address) or '-'} - - [{now}] "
            f'"{self.requestline or ""}" {status} {self.response_length or "-"} {took}'
        )


def _give_way() -> None:
    """Let others run: for a client that sends faster than it is answered, nobody waits."""
    _core.look_soon()
    _core.sleep(0)


def _reads_as_usual(kind: type[WSGIHandler]) -> bool:
    """Has nobody overridden how heads are read?"""
    return (
        kind.read_requestline is _read_requestline
        and kind.read_request is _read_request
        and kind.MessageClass is _message_class
    )


_read_requestline = WSGIHandler.read_requestline
_read_request = WSGIHandler.read_request
_message_class = WSGIHandler.MessageClass


def _path_of(target: str) -> str:
    """Of http://host/path the path; others, * for example, are what they are."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return target
    start = min((at for at in map(rest.find, "/?") if at >= 0), default=len(rest))
    return rest[start:] if rest[start : start + 1] == "/" else f"/{rest[start:]}"
