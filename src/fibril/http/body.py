"""The body of a request, as applications read it: `wsgi.input`.

The idea: it ends where the body ends, whatever comes behind it on the connection: after so many
bytes, or at the chunk of no length. A body whose end cannot be told is refused, and so is one that
another reader could take to end elsewhere: what came behind it would be a request to one of us. It
is never answered as if it were whole.

Invariants: nothing is read before somebody asks; then first 100 Continue is sent, if the client
waits for that. Chunks are lines and bytes of a stream, so nothing of what follows is taken.
Do not add: forms, codings; applications know them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["Input", "InvalidClientInput"]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# RFC 9112, 7.1. Less than 2**60 bytes, with extensions that nobody needs to know.
_CHUNK = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:;"
    + _TOKEN
    + rb"(?:=(?:"
    + _TOKEN
    + rb'|"[^"\\\x00-\x1f\x7f]*"))?)*\r\n'
)
_TRAILER = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n")
# What would change where this request ends, whom it is for, or who asks.
_NO_TRAILERS = frozenset(
    [
        *(
            b"authorization",
            b"connection",
            b"content-encoding",
            b"content-length",
            b"content-range",
        ),
        *(b"content-type", b"cookie", b"expect", b"host", b"te", b"trailer", b"transfer-encoding"),
    ]
)
_CHUNK_LINE_BYTES_MAX = 1024
_TRAILER_BYTES_MAX = 8192
_DISCARD_BYTES = 16384


class InvalidClientInput(OSError):
    """The client has not sent the body that it had announced; `status` is the answer's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Input:
    """The body of a request.

    rfile: the connection's Reader, or a buffered file. content_length: in bytes; None for a
    request without a body. socket: where 100 Continue is sent before the first read, or None.
    chunked_input: the body comes in chunks.

    Switches: if it must wait. Threads: any. Raises InvalidClientInput, which is an OSError, where
    the body is cut off, malformed, or does not come in time.
    """

    # Handlers set the last two: of how much is too much, and of how long the client may be silent.
    __slots__ = (
        *("rfile", "content_length", "socket", "position", "chunked_input", "chunk_length"),
        *("_chunked_input_error", "bytes_max", "timeout_s"),
    )

    def __init__(
        self,
        rfile: Any,
        content_length: int | None,
        socket: Any = None,
        chunked_input: bool = False,
    ) -> None:
        self.rfile = rfile
        self.content_length = content_length
        self.socket = socket
        #: How much of the body, or of the current chunk, has been taken.
        self.position = 0
        self.chunked_input = chunked_input
        #: Of the current chunk; -1 before the first, 0 after the last.
        self.chunk_length = -1
        self._chunked_input_error = False
        self.bytes_max: int | None = None
        self.timeout_s: float | None = None

    @property
    def raw(self) -> Any:
        """What has the connection's socket, as `_sock`."""
        return self.rfile.raw

    @property
    def is_at_end(self) -> bool:
        """Has all of it been taken?"""
        if self._chunked_input_error:
            return False
        if self.chunked_input:
            return self.chunk_length == 0
        return self.position >= (self.content_length or 0)

    # ---- reading ----

    def read(self, length: int | None = None) -> bytes:
        """So many bytes, fewer at the end only; all of the body if length is None or below 0."""
        if length is not None and length < 0:
            length = None
        if self.chunked_input:
            return self._read_chunks(length, False)
        return self._read_counted(length, False)

    def readline(self, size: int | None = None) -> bytes:
        """A line with its end, or so many bytes of it; b"" at the end of the body."""
        if size is not None and size < 0:
            size = None
        if self.chunked_input:
            return self._read_chunks(size, True)
        return self._read_counted(size, True)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """All lines that are left."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    next = __next__

    def _begin(self) -> None:
        if self.socket is not None:
            sock, self.socket = self.socket, None
            sock.sendall(_CONTINUE)
        if self.timeout_s is not None:
            self.rfile.limit(self.timeout_s)

    def _get(self, length: int, is_line: bool) -> bytes:
        """Bytes of the connection that belong to the body."""
        try:
            data: bytes = (self.rfile.readline if is_line else self.rfile.read)(length)
        except TimeoutError:
            raise self._fail("the body did not come in time", 408) from None
        if len(data) < length and not (is_line and data.endswith(b"\n")):
            raise self._fail(f"the client closed after {self.position + len(data)} bytes of a body")
        return data

    def _fail(self, message: str, status: int = 400) -> InvalidClientInput:
        """From here on nobody knows what the connection's next byte is."""
        self._chunked_input_error = True
        return InvalidClientInput(message, status)

    def _read_counted(self, length: int | None, is_line: bool) -> bytes:
        if self.content_length is None:
            return b""
        left = self.content_length - self.position
        wanted = left if length is None else min(length, left)
        if wanted <= 0:
            return b""
        self._begin()
        data = self._get(wanted, is_line)
        self.position += len(data)
        return data

    # ---- chunks ----

    def _read_chunks(self, length: int | None, is_line: bool) -> bytes:
        if self._chunked_input_error:
            raise self._fail("the body was malformed before")
        if length == 0 or self.chunk_length == 0:
            return b""
        self._begin()
        parts: list[bytes] = []
        while self._may_go_on():
            left = self.chunk_length - self.position
            data = self._get(left if length is None else min(left, length), is_line)
            parts.append(data)
            self.position += len(data)
            if self.position == self.chunk_length and self._get_line(2) != b"\r\n":
                raise self._fail("a chunk is longer than it was said to be")
            if length is not None:
                length -= len(data)
            if length == 0 or (is_line and data.endswith(b"\n")):
                break
        return b"".join(parts)

    def _may_go_on(self) -> bool:
        """Is there more of this chunk, or another one?"""
        if self.position == max(self.chunk_length, 0):
            self._begin_chunk()
        return self.chunk_length != 0

    def _begin_chunk(self) -> None:
        match = _CHUNK.fullmatch(self._get_line(_CHUNK_LINE_BYTES_MAX))
        if match is None:
            raise self._fail("a chunk begins without its length, or with a malformed extension")
        self.chunk_length, self.position = int(match[1], 16), 0
        if self.bytes_max is not None:
            self.bytes_max -= self.chunk_length
            if self.bytes_max < 0:
                raise self._fail("the body is too large", 413)
        if self.chunk_length == 0:
            self._pass_trailers()

    def _get_line(self, size: int) -> bytes:
        try:
            return self.rfile.readline(size)  # type: ignore[no-any-return]
        except TimeoutError:
            raise self._fail("the body did not come in time", 408) from None

    def _pass_trailers(self) -> None:
        """WSGI has no place for them."""
        left = _TRAILER_BYTES_MAX
        while (line := self._get_line(left)) != b"\r\n":
            left -= len(line)
            name = line.partition(b":")[0].lower()
            if left <= 0 or not _TRAILER.fullmatch(line) or name in _NO_TRAILERS:
                raise self._fail("the trailers are malformed, too many, or no trailers")

    # ---- what nobody read ----

    def _discard(self, bytes_max: int | None = None) -> bool:
        """Take what the application has left, up to so much. Is the next byte a request's?

        What is not asked for by 100 Continue may come or not, so nobody knows.
        """
        if self._chunked_input_error:
            return False
        if self.is_at_end:
            return True
        if self.socket is not None:
            return False
        left = bytes_max
        while data := self.read(_DISCARD_BYTES):
            if left is not None:
                left -= len(data)
                if left < 0:
                    return False
        return True
