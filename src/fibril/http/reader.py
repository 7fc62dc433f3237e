"""What a client has sent and nobody has taken yet: gevent's `rfile`.

The idea: the bytes of a connection come out of one place, in their order: the head of a request in
one piece, its body by read() and readline(), and what a WebSocket reads behind that. So what came
early, a pipelined request or a first frame, is lost to nobody. As a rule a head is all that has
come, and is handed on as the socket gave it.

Invariants: one task at a time reads. An idle connection holds no buffer. Of a head no more is kept
than HEAD_BYTES_MAX and one read; of a body what was asked for.
Do not add: what the bytes mean.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from fibril import _core
from fibril.http.h1 import HEAD_BYTES_MAX, LINE_BYTES_MAX, InvalidClientRequest

__all__ = ["Reader"]

# At most this comes at once where nobody has asked for more: up to there the socket makes an object
# of the size that has come.
_RECV_BYTES = 16384
_RECV_BYTES_MAX = 262144


class Reader:
    """A stream of bytes from a socket, as a buffered file; it leaves the socket open.

    sock: a socket, whose timeout it sets. `raw._sock` is the socket, as in the standard library's.

    Switches: if it must wait. Threads: any. Raises OSError; TimeoutError where nothing comes.
    """

    __slots__ = ("_data", "_sock", "_timeout_s", "closed", "is_idle", "line_bytes_max")

    def __init__(self, sock: Any, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._sock = sock
        self._data = b""
        self._timeout_s: float | None = None
        self.closed = False
        #: Does somebody wait here for a request of which nothing has come?
        self.is_idle = False
        #: Of how many bytes on a request's line is too long.
        self.line_bytes_max = line_bytes_max

    def limit(self, timeout_s: float | None) -> None:
        """From now on the socket waits as long for the client. To set the same again costs nothing.

        Switches: never. Threads: any.
        """
        if timeout_s != self._timeout_s:
            self._timeout_s = timeout_s
            self._sock.settimeout(timeout_s)

    # ---- heads ----

    def read_head(self, timeout_s: float | None) -> bytes:
        """The next head, with its empty line; b"" if the client sends none.

        timeout_s: how long it may take from its first byte on.
        Raises InvalidClientRequest for a head that does not come to an end.
        """
        data = self._data
        if not data:
            self.is_idle = True
            data = self._sock.recv(_RECV_BYTES)
            self.is_idle = False
        end = data.find(b"\r\n\r\n") + 4
        if end < 5 or data[0] == 13:  # no end of it, or an empty line before it
            return self._read_long_head(data, timeout_s)
        if end == len(data):
            self._data = b""
            return data
        self._data = data[end:]
        return data[:end]

    def wait_for_head(self) -> bool:
        """Wait until something of a head has come; False if the client has closed."""
        self.is_idle = True
        data = self.peek()
        self.is_idle = False
        return bool(data)

    def _read_long_head(self, data: bytes, timeout_s: float | None) -> bytes:
        """The rest of a head that has not come in one piece, or has an empty line before it."""
        usual_s, deadline = self._timeout_s, None if timeout_s is None else _core.now() + timeout_s
        self._data, searched = b"", 0
        try:
            while (end := data.find(b"\r\n\r\n", searched) + 4) < 5 or data.startswith(b"\r\n"):
                if data.startswith(b"\r\n"):  # RFC 9112, 2.2: left over from an old client's body
                    data, searched = data[2:], 0
                    continue
                searched = max(len(data) - 3, 0)
                more = self._recv_of_head(data, deadline)
                if not more:
                    return b""
                data += more
        finally:
            self.limit(usual_s)
        self._data = data[end:]
        return data[:end]

    def _recv_of_head(self, data: bytes, deadline: float | None) -> bytes:
        """What comes behind the beginning of a head; b"" if there is neither."""
        self._refuse_what_cannot_end(data)
        try:
            self._limit_until(deadline)
            more: bytes = self._sock.recv(_RECV_BYTES)
        except TimeoutError:
            if not data:
                return b""
            raise InvalidClientRequest("the head did not come in time", 408) from None
        if data and not more:
            raise InvalidClientRequest("the client closed in the middle of a head")
        return more

    def _refuse_what_cannot_end(self, data: bytes) -> None:
        """Nothing that comes now makes it a head that is read."""
        if data not in (b"", b"\r") and not data[:1].isalpha():  # TLS, say, which waits for us
            raise InvalidClientRequest("the first letter is no method's")
        line_max = self.line_bytes_max
        if len(data) >= line_max and b"\n" not in data[:line_max]:
            raise InvalidClientRequest("the request's line is too long", 414)
        if len(data) > line_max + HEAD_BYTES_MAX:
            raise InvalidClientRequest(f"a head of more than {HEAD_BYTES_MAX} bytes", 431)

    def _limit_until(self, deadline: float | None) -> None:
        if deadline is not None:
            remaining_s = deadline - _core.now()
            if remaining_s <= 0:
                raise TimeoutError
            self.limit(remaining_s)

    @property
    def has_more(self) -> bool:
        """Has more come than was taken?"""
        return bool(self._data)

    # ---- as a file ----

    @property
    def raw(self) -> Reader:
        """What has the socket, as `_sock`."""
        return self

    def fileno(self) -> int:
        """The socket's descriptor."""
        return int(self._sock.fileno())

    def readable(self) -> bool:
        """True, as of any file that is read."""
        return True

    def _take(self, size: int) -> bytes:
        """So much of what has come already."""
        data = self._data
        self._data = data[size:]
        return data[:size]

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes; fewer only if the client has closed. None or less than 0: all."""
        left = sys.maxsize if size is None or size < 0 else size
        if left <= len(self._data):
            return self._take(left)
        parts = [self._take(left)]
        left -= len(parts[0])
        try:
            while left and (part := self._sock.recv(min(left, _RECV_BYTES_MAX))):
                parts.append(part)
                left -= len(part)
        except BaseException:  # whoever was interrupted may come back for it
            self._data = b"".join(parts)
            raise
        return b"".join(parts)

    def read1(self, size: int = -1) -> bytes:
        """What has come, up to so many bytes; waits only if nothing has."""
        if not self._data:
            self._data = self._sock.recv(_RECV_BYTES)
        return self._take(len(self._data) if size < 0 else size)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; how many bytes came before the client closed."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def peek(self, size: int = 0) -> bytes:
        """What has come, without taking it; waits only if nothing has."""
        if not self._data:
            self._data = self._sock.recv(_RECV_BYTES)
        return self._data

    def readline(self, size: int | None = -1) -> bytes:
        """Up to the next line feed, with it, or so many bytes."""
        left = sys.maxsize if size is None or size < 0 else size
        parts: list[bytes] = []
        try:
            while True:
                end = self._data.find(b"\n", 0, left) + 1
                if end or left <= len(self._data):
                    parts.append(self._take(end or left))
                    return b"".join(parts)
                parts.append(self._data)
                left -= len(self._data)
                self._data = self._sock.recv(_RECV_BYTES)
                if not self._data:
                    return b"".join(parts)
        except BaseException:
            self._data = b"".join(parts)
            raise

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """All lines until the client closes."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def close(self) -> None:
        """No more requests are read from it."""
        self.closed = True
