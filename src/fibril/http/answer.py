"""The answer to a request: what an application says through WSGI, as bytes of HTTP/1.

The idea: the head waits for the first bytes of the body, and goes out with them in one call of the
system; a large body goes out as it is, behind the head. What the application gives is never kept
back. The end of a body is told by Content-Length, which is known where the application returns a
list, or by chunks; for a client of HTTP/1.0 the connection's end tells it. If a body stops before
its end, so does the connection, in a way that the client notices.

Invariants: of a body no more is sent than its Content-Length says, and a connection on which less
was sent is not used again. Nothing an application says can become another field, or answer.
`headers_sent` is set before the head is sent, so an error in between is no second answer.
Do not add: reading (handler.py).
"""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Callable, Iterable
from errno import ECONNRESET, EPIPE
from socket import MSG_MORE
from types import TracebackType
from typing import Any, NoReturn
from wsgiref.util import FileWrapper

__all__ = ["Answer", "ClientStalledError", "date_of"]

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

# Up to here a body is copied behind its head, which costs less than another call of the system
# (1 µs and 3 µs); beyond it is sent as it is.
_JOINED_BYTES_MAX = 16384


class ClientStalledError(TimeoutError):
    """The client has taken nothing for as long as send_timeout_s says."""


# ---- the head ----

_date: tuple[int, bytes] = (-1, b"")


def date_of(now: float) -> bytes:
    """A Date field's value for a time, in seconds since the epoch.

    Switches: never. Threads: any.

    >>> from fibril.http.answer import date_of
    >>> date_of(784111777)
    b'Sun, 06 Nov 1994 08:49:37 GMT'
    """
    global _date
    second, text = _date
    if int(now) != second:  # most answers share a second
        days, months = (
            "Mon Tue Wed Thu Fri Sat Sun",
            "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
        )
        at = time.gmtime(now)
        day, month = days.split()[at.tm_wday], months.split()[at.tm_mon - 1]
        clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
        text = f"{day}, {at.tm_mday:02} {month} {at.tm_year} {clock} GMT".encode("latin-1")
        _date = int(now), text
    return text


_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
# What the server must know of an answer.
_HEEDED = frozenset(["connection", "content-length", "date", "transfer-encoding"])
_NAMES_MAX = 512
# As applications write them → as they are sent; and in small letters, if they are heeded.
_names: dict[str, tuple[bytes, str | None]] = {}
_STATUSES_MAX = 128
_statuses: dict[str, tuple[bytes, int]] = {}


def _learn_name(name: Any) -> tuple[bytes, str | None]:
    if not isinstance(name, str):
        raise UnicodeError(f"the name of a field must be a str, not {name!r}")
    if not name or not _TOKEN.issuperset(name):
        raise ValueError(f"cannot send a field named {name!r}: only letters, digits and -._ fit")
    small = name.lower()
    known = name.encode("latin-1"), small if small in _HEEDED else None
    if len(_names) < _NAMES_MAX:
        _names[name] = known
    return known


def _encode(name: str, value: str, said: dict[str, str]) -> tuple[bytes, bytes]:
    """A field as bytes; if it is heeded, `said` has it afterwards."""
    known = _names.get(name) or _learn_name(name)
    if known[1] is not None:
        if known[1] == "content-length" and known[1] in said:
            raise ValueError("cannot send two fields Content-Length")
        said[known[1]] = value
    try:
        if value.isprintable():
            return known[0], value.encode("latin-1")
    except (AttributeError, UnicodeEncodeError):
        pass
    return known[0], _encode_value(name, value)


def _encode_value(name: str, value: Any) -> bytes:
    """A value that is no plain text."""
    if not isinstance(value, str):
        raise UnicodeError(f"the value of field {name!r} must be a str, not {value!r}")
    if any(char != "\t" and (char < " " or char == "\x7f") for char in value):
        raise ValueError(f"cannot send field {name!r} as {value!r}: it has control characters")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise UnicodeError(
            f"cannot send field {name!r} as {value!r}: only characters of latin-1 fit. Encode "
            "others, as RFC 8187 has it."
        ) from None


def _learn_status(status: Any) -> tuple[bytes, int]:
    if not isinstance(status, str):
        raise UnicodeError(f"the status must be a str, not {status!r}")
    if any(char < " " or char == "\x7f" for char in status):
        raise ValueError(f"cannot send the status {status!r}: it has control characters")
    known = status.encode("latin-1"), int(status.split(" ", 1)[0])
    if len(_statuses) < _STATUSES_MAX:
        _statuses[status] = known
    return known


def _refuse_second(exc_info: ExcInfo | None) -> NoReturn:
    """The head of an answer has been sent already."""
    if exc_info and exc_info[1] is not None:
        try:
            raise exc_info[1].with_traceback(exc_info[2])
        finally:
            exc_info = None
    raise AssertionError("cannot start the response: the head of another one has been sent")


class Answer:
    """The half of WSGIHandler that answers; see there.

    Switches: if it must wait. Threads: owner.
    """

    #: Seconds that the client may take nothing of what is sent; then the connection is closed.
    #: None: for ever.
    send_timeout_s: float | None = 60.0

    #: After these errors the client is gone, and nothing is logged.
    ignored_socket_errors: tuple[int, ...] = (EPIPE, ECONNRESET)

    #: What is raised where an application breaks WSGI's rules.
    ApplicationError: type[Exception] = AssertionError

    # What is known of the request.
    socket: Any
    server: Any
    environ: Any = None
    application: Any = None
    command: str | None = None
    request_version: str | None = None
    close_connection = False

    # What the application has said; as bytes, for they are sent.
    status: Any = None
    _orig_status: str | None = None
    code: Any = None
    response_headers: Any = None
    provided_date: Any = None
    provided_content_length: Any = None
    _provided_connection: str | None = None

    # How it is sent.
    result: Any = None
    headers_sent = False
    connection_upgraded = False  # to another protocol, by 101
    response_use_chunked = False
    response_length = 0  # bytes sent, the head's too
    _left: int | None = None  # bytes of the body that are to come; None where nobody said
    _is_cut = False  # the client is to notice that a body has no end
    _limit: Callable[[float | None], None] | None = None  # sets the socket's timeout

    # ---- WSGI ----

    def start_response(
        self,
        status: str,
        headers: Iterable[tuple[str, str]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[Any], None]:
        """What an application begins its answer with; see PEP 3333.

        Returns write(). Raises UnicodeError or ValueError for what cannot be sent, the exception of
        exc_info if the head has been sent.
        """
        if self.headers_sent:
            _refuse_second(exc_info)
        exc_info = None  # else a traceback would keep this frame, and this frame the traceback
        known = _statuses.get(status) or _learn_status(status)
        said: dict[str, str] = {}
        fields = [_encode(name, value, said) for name, value in headers]
        if said:
            fields = self._heed(known[1], said, fields)
        # All of it is in order: only now it takes the place of what was said before.
        self.response_headers = fields
        self.provided_date = said.get("date")
        self.provided_content_length = said.get("content-length")
        self._provided_connection = said.get("connection")
        self._orig_status = status
        self.status, self.code = known
        return self.write

    def _heed(
        self, code: int, said: dict[str, str], fields: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """The fields without those that are for the server to say; PEP 3333: how it travels."""
        length = said.get("content-length")
        if length is not None:
            if not (length.isascii() and length.isdigit()):
                raise ValueError(f"cannot send Content-Length: {length!r}: it is no number")
            if code == 204 and int(length) != 0:
                raise self.ApplicationError(
                    f"cannot send Content-Length: {length}: an answer of {code} has no body"
                )
        options = said.get("connection", "").split(",")
        if "close" in [option.strip().lower() for option in options]:
            self.close_connection = True
        if "transfer-encoding" in said:
            return [field for field in fields if field[0].lower() != b"transfer-encoding"]
        return fields

    def write(self, data: Any) -> None:
        """Send a part of the body, with the head before it if that is still to be sent.

        It is what start_response() returns, and what process_result() calls.
        """
        if data and self.code in (204, 304):
            raise self.ApplicationError(f"cannot send a body: an answer of {self.code} has none")
        if self.headers_sent:
            self._write(data)
            return
        if not self.status:
            raise self.ApplicationError(
                "cannot send a body: the application has not called start_response()"
            )
        self._write_with_headers(data)

    def run_application(self) -> None:
        """Call the application, and send what it returns."""
        assert self.result is None
        try:
            self.result = self.application(self.environ, self.start_response)
            self.process_result()
        finally:
            result, self.result = self.result, None
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def process_result(self) -> None:
        """Send what the application has returned, part by part."""
        result = self.result
        kind = type(result)
        if kind is list or kind is tuple:
            self.write_all(result)
        elif kind is FileWrapper and self._may_send_file(result.filelike):
            self._send_file(result.filelike)
        else:
            for data in result:
                if data:
                    self.write(data)
        if self.status and not self.headers_sent:
            self.write(b"")
        self._end_body()

    def write_all(self, parts: Any) -> None:
        """Send a body whose parts are all there: a small one at once."""
        if len(parts) > 1 and sum(map(len, parts)) <= _JOINED_BYTES_MAX:
            parts = [b"".join(parts)]
        for data in parts:
            if data:
                self.write(data)

    # ---- HTTP ----

    def finalize_headers(self) -> None:
        """Called before the head is sent: add to `response_headers` what the server has to say.

        They are pairs of bytes. When it returns, the length of the body is settled.
        """
        headers = self.response_headers
        if self.provided_date is None:
            headers.append((b"Date", date_of(time.time())))
        self._left = None
        self.connection_upgraded = self.code == 101
        if self.code >= 200 and self.code != 204 and self.code != 304:
            self._settle_length(headers)
        elif self.connection_upgraded:
            self.close_connection = True  # behind it comes no HTTP
        if self._provided_connection is None:
            if self._is_last_answer():
                headers.append((b"Connection", b"close"))
            elif self.request_version == "HTTP/1.0":
                headers.append((b"Connection", b"keep-alive"))

    def _settle_length(self, headers: list[tuple[bytes, bytes]]) -> None:
        """How the end of the body is told."""
        provided, result = self.provided_content_length, self.result
        if provided is not None:
            if provided:  # subclasses set False, and send what they like
                self._left = int(provided)
        elif hasattr(result, "__len__"):
            self._left = sum(map(len, result))
            headers.append((b"Content-Length", b"%d" % self._left))
        elif self.request_version != "HTTP/1.0":
            self.response_use_chunked = True
            headers.append((b"Transfer-Encoding", b"chunked"))
        else:
            self.close_connection = True

    def _is_last_answer(self) -> bool:
        """Is the connection closed behind this answer?"""
        if not self.close_connection:
            self.close_connection = self._must_close()
        return self.close_connection

    def _must_close(self) -> bool:
        """What else makes this the last answer: for WSGIHandler to say."""
        return False

    def _write_with_headers(self, data: Any) -> None:
        self.headers_sent = True
        self.finalize_headers()
        fields = b"".join([b"%b: %b\r\n" % field for field in self.response_headers])
        head = b"HTTP/1.1 %b\r\n%b\r\n" % (self.status, fields)
        if not data or self.command == "HEAD":
            self._sendall(head)
        elif len(data) <= _JOINED_BYTES_MAX:
            count = len(data)
            self._sendall(head + self._framed(data))
            self._refuse_more(count)
        else:
            self._sendall(head, self._more)
            self._write(data)

    def _framed(self, data: Any) -> Any:
        """As it travels; what goes beyond the Content-Length is left out."""
        if self.response_use_chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        if self._left is not None and len(data) > self._left:
            return data[: self._left]
        return data

    def _refuse_more(self, count: int) -> None:
        """So many bytes were to be sent, and as many as fit have been."""
        if self._left is not None:
            self._left -= count
            if self._left < 0:
                self._left = 0
                self.close_connection = True
                raise self.ApplicationError(
                    "the body is longer than its Content-Length; the rest is left out"
                )

    def _write(self, data: Any) -> None:
        if not data or self.command == "HEAD":
            return
        count = len(data)
        if count > _JOINED_BYTES_MAX and self.response_use_chunked:
            more = self._more
            self._sendall(b"%x\r\n" % count, more)
            self._sendall(data, more)
            self._sendall(b"\r\n")
        elif framed := self._framed(data if count <= _JOINED_BYTES_MAX else memoryview(data)):
            self._sendall(framed)
        self._refuse_more(count)

    def _end_body(self) -> None:
        if self.command == "HEAD":
            return
        if self.response_use_chunked:
            self._sendall(b"0\r\n\r\n")
        elif self._left:
            self.close_connection = True
            raise self.ApplicationError(
                f"the body is {self._left} bytes shorter than its Content-Length"
            )

    # ---- bytes ----

    @property
    def _more(self) -> int:
        """The flag that more follows at once, where the socket takes one."""
        return 0 if hasattr(self.socket, "do_handshake") else MSG_MORE  # TLS takes none

    def _sendall(self, data: Any, flags: int = 0) -> None:
        """Send, for as long as the client takes some of it now and then."""
        if self._limit is not None:
            self._limit(self.send_timeout_s)
        sock = self.socket
        try:
            sent = sock.send(data, flags) if flags else sock.send(data)
            self.response_length += sent
            if sent < len(data):
                view = memoryview(data).cast("B")
                while sent < len(view):
                    count = sock.send(view[sent:], flags) if flags else sock.send(view[sent:])
                    sent += count
                    self.response_length += count
        except OSError as error:
            self._tell_failure(error)

    def _tell_failure(self, error: OSError) -> NoReturn:
        """The client has not taken what was sent: note that for the log, and raise."""
        self.status = f"socket error: {error}"
        if self.code is not None and self.code > 0:
            self.code = -self.code
        if isinstance(error, TimeoutError) and error.errno is None:
            error = ClientStalledError(f"the client has taken nothing for {self.send_timeout_s} s")
        raise error

    # ---- files ----

    def _may_send_file(self, file: Any) -> bool:
        """Can the kernel send it by itself? What has a descriptor may be packed, or a pipe."""
        raw = file.raw if isinstance(file, (io.BufferedReader, io.BufferedRandom)) else file
        if not isinstance(raw, io.FileIO) or self.command == "HEAD" or self.headers_sent:
            return False
        is_whole = self.provided_content_length is not None or self.code == 200
        return is_whole and stat.S_ISREG(os.fstat(raw.fileno()).st_mode)

    def _send_file(self, file: Any) -> None:
        """Send a file from where it is, without reading it, up to the Content-Length if there is
        one."""
        offset = file.tell()
        size = max(os.fstat(file.fileno()).st_size - offset, 0)
        if self.provided_content_length is None:
            self.provided_content_length = str(size)
            self.response_headers.append((b"Content-Length", b"%d" % size))
        self.write(b"")
        count = min(size, self._left or 0)
        if count == 0:
            return
        try:
            sent = self.socket.sendfile(file, offset, count)
        except OSError as error:
            self._tell_failure(error)
        self.response_length += sent
        self._refuse_more(sent)
