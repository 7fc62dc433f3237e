"""eventlet.websocket, served by fibril: WebSockets (RFC 6455), compressed ones too (RFC 7692).

The idea: an application of WSGI answers the handshake, and hands its connection to the program's
handler as an object that sends and waits for messages. The same object is a client's.

Invariants: frames are written whole, one greenthread at a time; control frames are answered in
wait(); after a close frame nothing else is sent.
Threads: owner. Do not add: the drafts before the RFC; they are in websocket_drafts.py.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import errno
import hashlib
import os
import struct
from collections.abc import Callable
from typing import Any

from . import permessage_deflate, websocket_drafts, wsgi
from .greenio import shutdown_safe
from .permessage_deflate import Deflate
from .semaphore import Semaphore
from .websocket_drafts import WebSocket

__all__ = [
    "BadRequest",
    "ConnectionClosedError",
    "FailedConnectionError",
    "ProtocolError",
    "RFC6455WebSocket",
    "WebSocket",
    "WebSocketWSGI",
]

ACCEPTABLE_CLIENT_ERRORS = {errno.EPIPE, errno.ECONNRESET, errno.ESHUTDOWN, errno.EBADF}
DEFAULT_MAX_FRAME_LENGTH = 8 << 20
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_GOING_AWAY, _PROTOCOL_ERROR, _NOT_UTF8, _TOO_LARGE = 1001, 1002, 1007, 1009


class ConnectionClosedError(Exception):
    """The connection has ended."""


class FailedConnectionError(Exception):
    """The connection is to be ended: with `status`, a close code, and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status, self.message = status, message


class ProtocolError(FailedConnectionError):
    """The peer has sent what cannot be."""

    def __init__(self, message: str) -> None:
        super().__init__(_PROTOCOL_ERROR, message)


class BadRequest(Exception):
    """The request is no handshake that can be answered: `status`, and `headers` besides."""

    def __init__(self, status: str = "400 Bad Request", headers: Any = None) -> None:
        super().__init__(status)
        self.status, self.headers = status, list(headers or ())


class WebSocketWSGI:
    """A WSGI application that calls handler(websocket) for each WebSocket.

    handler: when it returns, the WebSocket is closed. max_frame_length: bytes; longer frames end
    the connection. Use it as a decorator, or WebSocketWSGI.configured(…) with options.

    Switches: if it must wait. Threads: owner.
    """

    def __init__(
        self, handler: Callable[[Any], Any], max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH
    ) -> None:
        self.handler = handler
        self.max_frame_length = max_frame_length
        self.supported_protocols: Any = None
        self.origin_checker: Callable[[str], object] | None = None

    @classmethod
    def configured(
        cls,
        handler: Callable[[Any], Any] | None = None,
        supported_protocols: Any = None,
        origin_checker: Callable[[str], object] | None = None,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
    ) -> Any:
        """One with options, or without a handler a decorator that makes one.

        supported_protocols: sub-protocols, of which the client's first is chosen. origin_checker:
        called with the client's Origin; false refuses it.
        """

        def decorate(handler: Callable[[Any], Any]) -> WebSocketWSGI:
            made = cls(handler, max_frame_length)
            made.supported_protocols = supported_protocols
            made.origin_checker = origin_checker
            return made

        return decorate if handler is None else decorate(handler)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer the handshake, and have the handler speak."""
        try:
            socket = self._shake_hands(environ)
        except BadRequest as error:
            start_response(error.status, [("Connection", "close"), *error.headers])
            return []
        environ.get("eventlet.set_idle", int)()  # a server that ends need not wait for us
        try:
            self.handler(socket)
        except OSError as error:
            if error.errno not in ACCEPTABLE_CLIENT_ERRORS:
                raise
        finally:
            socket._send_closing_frame(ignore_send_errors=True)
            wsgi.WSGI_LOCAL.already_handled = True  # also of what is raised: it has been told
        return []

    def _shake_hands(self, environ: dict[str, Any]) -> RFC6455WebSocket | WebSocket:
        options = [word.strip().lower() for word in environ.get("HTTP_CONNECTION", "").split(",")]
        is_upgrade = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        if "upgrade" not in options or not is_upgrade:
            raise BadRequest
        if self.origin_checker is not None and not self.origin_checker(
            environ.get("HTTP_ORIGIN", "")
        ):
            raise BadRequest("403 Forbidden")
        if "HTTP_SEC_WEBSOCKET_VERSION" in environ:
            return self._shake_hands_now(environ)
        return self._shake_hands_then(environ)

    def _shake_hands_then(self, environ: dict[str, Any]) -> WebSocket:
        """As a draft has it."""
        keys = environ.get("HTTP_SEC_WEBSOCKET_KEY1"), environ.get("HTTP_SEC_WEBSOCKET_KEY2")
        one, other = (websocket_drafts.key_number(key or "") for key in keys)
        body = environ["eventlet.input"]
        connection = body.get_socket()
        connection.settimeout(None)
        numbers, rest = None, b""
        if keys != (None, None):
            if one is None or other is None:
                raise BadRequest
            numbers, rest = (one, other), body.rfile.read(8)
        connection.sendall(websocket_drafts.answer(environ, numbers, rest))
        version = 75 if numbers is None else 76
        made = WebSocket(connection, environ, version, max_frame_length=self.max_frame_length)
        made._stream = body.rfile
        return made

    def _shake_hands_now(self, environ: dict[str, Any]) -> RFC6455WebSocket:
        if environ["HTTP_SEC_WEBSOCKET_VERSION"] not in ("13", "8", "7"):
            raise BadRequest("426 Upgrade Required", [("Sec-WebSocket-Version", "8, 7, 13")])
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
        if not _is_key(key):
            raise BadRequest
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {_accepted(key)}",
        ]
        protocol = self._protocol(environ)
        if protocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        extensions = permessage_deflate.chosen(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", ""))
        if extensions:
            lines.append(f"Sec-WebSocket-Extensions: {permessage_deflate.described(extensions)}")
        body = environ["eventlet.input"]
        connection = body.get_socket()
        connection.settimeout(None)
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        made = RFC6455WebSocket(
            connection,
            environ,
            protocol=protocol,
            extensions=extensions,
            max_frame_length=self.max_frame_length,
        )
        made._stream = body.rfile  # it may have the first frames
        return made

    def _protocol(self, environ: dict[str, Any]) -> str | None:
        asked = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")
        for name in (each.strip() for each in asked.split(",")):
            if name in (self.supported_protocols or ()):
                return str(name)
        return None


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _accepted(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + _GUID).digest()).decode("ascii")


class RFC6455WebSocket:
    """One WebSocket: messages are sent as str (text) or bytes, and come so.

    socket: the connection, after the handshake. client: which of both sides we are. extensions:
    what the handshake has agreed on. path, origin, environ: of the request.

    Switches: if it must wait. Threads: owner.
    """

    def __init__(
        self,
        socket: Any,
        environ: dict[str, Any],
        *,
        version: int = 13,
        protocol: str | None = None,
        client: bool = False,
        extensions: Any = None,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
    ) -> None:
        self.socket, self.environ, self.version = socket, environ, version
        self.protocol = self.negotiated_protocol = protocol
        self.origin, self.path = environ.get("HTTP_ORIGIN"), environ.get("PATH_INFO")
        self.is_client = client
        self.max_frame_length = max_frame_length
        self.websocket_closed = False  # a close frame was sent
        self._remote_close_data: bytes | None = None
        self._stream: Any = None  # what has read ahead, on a server
        self._sending = Semaphore()
        self.extensions = extensions or {}

    @property
    def extensions(self) -> Any:
        """What both sides have agreed on."""
        return self._extensions

    @extensions.setter
    def extensions(self, extensions: Any) -> None:
        self._extensions = extensions
        options = extensions.get(permessage_deflate.NAME)
        self._deflate = None if options is None else Deflate(options, self.is_client)

    # ---- receiving ----

    def wait(self) -> str | bytes | None:
        """The next message; None when the peer has closed."""
        try:
            return self._wait()
        except ConnectionClosedError:
            return None
        except FailedConnectionError as error:
            data = struct.pack("!H", error.status) + error.message.encode()
            self._send_closing_frame(data, ignore_send_errors=True)
            return None

    def _wait(self) -> str | bytes | None:
        if self.websocket_closed:
            return None
        message: _Frame | None = None
        while True:
            frame = self._recv_frame(message)
            if frame.opcode == _CLOSE:
                self._remote_close_data = frame.getvalue()
                self._send_closing_frame(frame.getvalue()[:2], ignore_send_errors=True)
                return None
            if frame.opcode == _PING:
                self._send(self._packed(_PONG, frame.getvalue()))
            elif frame.opcode != _PONG:
                message = frame
                if frame.is_last:
                    return self._value(frame)

    def _value(self, frame: _Frame) -> str | bytes:
        data = frame.getvalue()
        if frame.is_compressed:
            assert self._deflate is not None
            plain = self._deflate.inflate(data, self.max_frame_length)
            if plain is None:
                raise FailedConnectionError(
                    _TOO_LARGE, "Incoming compressed frame is above length limit."
                )
            data = plain
        if frame.opcode == _BINARY:
            return data
        try:
            return codecs.decode(data, "utf-8")
        except UnicodeDecodeError:
            raise FailedConnectionError(_NOT_UTF8, "Text must be valid UTF-8") from None

    def _recv_frame(self, message: _Frame | None = None) -> _Frame:
        """The next frame; one that continues a message is added to that."""
        first, second = self._read(2)
        opcode, is_last, is_control = first & 15, bool(first & 128), bool(first & 8)
        self._check(first, opcode, message)
        length = second & 127
        if is_control and (length > 125 or not is_last):
            raise ProtocolError("Control frames are small, and in one piece.")
        if bool(second & 128) is self.is_client:
            raise ProtocolError("Clients mask their frames, and nobody else.")
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._read(8))
        if length > self.max_frame_length:
            raise FailedConnectionError(
                _TOO_LARGE,
                f"Incoming frame of {length} bytes is above length limit of "
                f"{self.max_frame_length} bytes.",
            )
        mask = self._read(4) if second & 128 else b""
        data = _masked(self._read(length), mask) if mask else self._read(length)
        if opcode == _CONTINUATION and message is not None:
            return message.with_more(data, is_last)
        return _Frame(opcode, [data], is_last, bool(first & 64))

    def _check(self, first: int, opcode: int, message: _Frame | None) -> None:
        if first & 48 or (first & 64 and (self._deflate is None or opcode in (0, 8, 9, 10))):
            raise ProtocolError("RSV1, RSV2, RSV3: nobody has agreed on them.")
        if opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            raise ProtocolError(f"Unknown opcode {opcode}.")
        if (opcode == _CONTINUATION) is (message is None) and opcode < _CLOSE:
            raise ProtocolError("A continuation comes after the beginning, and nothing else.")

    def _read(self, count: int) -> bytes:
        if self._stream is not None:
            data: bytes = self._stream.read(count) if count else b""
        else:
            data = b""
            while len(data) < count and (more := self.socket.recv(min(count - len(data), 65536))):
                data += more
        if len(data) < count:
            raise ConnectionClosedError
        return data

    # ---- sending ----

    def send(self, message: str | bytes) -> None:
        """Send a message: str as text, bytes as they are; other things as their str()."""
        if self.websocket_closed:
            raise ConnectionClosedError("cannot send: the WebSocket was closed")
        if not isinstance(message, (bytes, bytearray, memoryview)):
            message = str(message)
        self._send(self._pack_message(message, masked=self.is_client))

    def _pack_message(self, message: Any, masked: bool = False) -> bytes:
        is_text = isinstance(message, str)
        data = message.encode() if is_text else bytes(message)
        opcode = _TEXT if is_text else _BINARY
        if self._deflate is not None:
            return self._packed(opcode | 64, self._deflate.deflate(data), masked)
        return self._packed(opcode, data, masked)

    def _packed(self, opcode: int, data: bytes, masked: bool | None = None) -> bytes:
        masked = self.is_client if masked is None else masked
        length, flag = len(data), 128 if masked else 0
        if length < 126:
            head = struct.pack("!BB", opcode | 128, flag | length)
        elif length < 65536:
            head = struct.pack("!BBH", opcode | 128, flag | 126, length)
        else:
            head = struct.pack("!BBQ", opcode | 128, flag | 127, length)
        if not masked:
            return head + data
        mask = os.urandom(4)
        return head + mask + _masked(data, mask)

    def _send(self, data: bytes) -> None:
        with self._sending:
            self.socket.sendall(data)

    def _send_closing_frame(
        self, close_data: bytes | None = None, ignore_send_errors: bool = False
    ) -> None:
        if self.websocket_closed:
            return
        self.websocket_closed = True
        try:
            self._send(self._packed(_CLOSE, close_data or b""))
        except OSError:
            if not ignore_send_errors:
                raise

    def close(self, close_data: Any = None) -> None:
        """Say that it is the end, and end the connection. close_data: (code, reason), or bytes."""
        if isinstance(close_data, tuple):
            code, reason = close_data
            close_data = struct.pack("!H", code) + str(reason).encode()
        self._send_closing_frame(close_data, ignore_send_errors=True)
        shutdown_safe(self.socket)


class _Frame:
    """A frame, or a message of several so far."""

    def __init__(self, opcode: int, parts: list[bytes], is_last: bool, is_compressed: bool) -> None:
        self.opcode, self.parts = opcode, parts
        self.is_last, self.is_compressed = is_last, is_compressed

    def with_more(self, data: bytes, is_last: bool) -> _Frame:
        self.parts.append(data)
        self.is_last = is_last
        return self

    def getvalue(self) -> bytes:
        return b"".join(self.parts)


def _masked(data: bytes, mask: bytes) -> bytes:
    """Masked, or unmasked, which is the same: as one large number, 50 times as fast as by bytes."""
    repeated = (mask * (len(data) // 4 + 1))[: len(data)]
    number = int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")
    return number.to_bytes(len(data), "big")
