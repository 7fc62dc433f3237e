"""The WebSockets of eventlet's that are older than RFC 6455: hixie-75 and hixie-76.

The idea: messages are text between the bytes 0 and 255. They are here for programs whose clients
are as old; a browser of today speaks the RFC's (websocket.py).

Threads: owner. Do not add: anything.
"""

from __future__ import annotations

import collections
import hashlib
import struct
from typing import Any
from urllib.parse import quote

from .greenio import shutdown_safe
from .semaphore import Semaphore

__all__ = ["WebSocket", "answer", "key_number"]

_CLOSING = b"\xff\x00"


class WebSocket:
    """One WebSocket of a draft: version 75 or 76.

    Switches: if it must wait. Threads: owner.
    """

    def __init__(
        self,
        socket: Any,
        environ: dict[str, Any],
        version: int = 76,
        *,
        max_frame_length: int = 8 << 20,
    ) -> None:
        self.socket, self.environ, self.version = socket, environ, version
        self.origin = environ.get("HTTP_ORIGIN")
        self.protocol = environ.get("HTTP_WEBSOCKET_PROTOCOL")
        self.path = environ.get("PATH_INFO")
        self.max_frame_length = max_frame_length
        self.websocket_closed = False
        self._stream: Any = None  # what has read ahead, on a server
        self._sending = Semaphore()
        self._buf = b""
        self._msgs: collections.deque[str] = collections.deque()

    def wait(self) -> str | None:
        """The next message; None when the peer has closed. Raises ValueError for nonsense."""
        while not self._msgs:
            if self.websocket_closed:
                return None
            data = self._recv()
            if not data:
                return None
            self._buf += data
            self._parse()
            if len(self._buf) > self.max_frame_length:
                self.close()
        return self._msgs.popleft()

    def _recv(self) -> Any:
        if self._stream is None:
            return self.socket.recv(8192)
        return self._stream.read(len(self._stream.peek()))

    def _parse(self) -> None:
        while self._buf:
            if self._buf[0] == 0:
                text, end, rest = self._buf[1:].partition(b"\xff")
                if not end:
                    return
                self._msgs.append(text.decode("utf-8", "replace"))
                self._buf = rest
            elif self._buf[0] == 255 and self._buf[1:2] in (b"", b"\x00"):
                self.websocket_closed = self._buf[1:] != b""
                return
            else:
                raise ValueError(f"a message of a WebSocket cannot begin with {self._buf[:2]!r}")

    def send(self, message: Any) -> None:
        """Send a message: text, bytes that are text, or something's str()."""
        data = message if isinstance(message, bytes) else str(message).encode()
        with self._sending:
            self.socket.sendall(b"\x00" + data + b"\xff")

    def _send_closing_frame(self, ignore_send_errors: bool = False) -> None:
        if self.version == 76 and not self.websocket_closed:
            try:
                self.socket.sendall(_CLOSING)
            except OSError:
                if not ignore_send_errors:
                    raise
        self.websocket_closed = True

    def close(self) -> None:
        """Say that it is the end, and end the connection."""
        self._send_closing_frame(ignore_send_errors=True)
        shutdown_safe(self.socket)


def answer(environ: dict[str, Any], numbers: tuple[int, int] | None, rest: bytes) -> bytes:
    """A server's half of the handshake. numbers: of both keys, with the 8 bytes behind them; None:
    of hixie-75, which has none."""
    prefix = "" if numbers is None else "Sec-"
    word = "Web Socket" if numbers is None else "WebSocket"
    lines = [
        f"HTTP/1.1 101 {word} Protocol Handshake",
        "Upgrade: WebSocket",
        "Connection: Upgrade",
        f"{prefix}WebSocket-Origin: {environ.get('HTTP_ORIGIN')}",
    ]
    protocol = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "").split(",")[0].strip()
    if numbers is not None:
        lines.append(f"Sec-WebSocket-Protocol: {protocol or 'default'}")
    lines.append(f"{prefix}WebSocket-Location: {_location(environ)}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if numbers is None:
        return head
    return head + hashlib.md5(struct.pack("!II", *numbers) + rest).digest()


def _location(environ: dict[str, Any]) -> str:
    scheme = "wss" if environ.get("wsgi.url_scheme") == "https" else "ws"
    path = quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), encoding="latin-1")
    query = environ.get("QUERY_STRING", "")
    return f"{scheme}://{environ.get('HTTP_HOST')}{path}{'?' * bool(query)}{query}"


def key_number(key: str) -> int | None:
    """What a key of hixie-76 stands for; None for no such key."""
    digits = "".join(char for char in key if char in "0123456789")
    spaces = key.count(" ")
    if not digits or not spaces or int(digits) % spaces:
        return None
    number = int(digits) // spaces
    return number if number < 1 << 32 else None
