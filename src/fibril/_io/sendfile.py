"""Sending a file's bytes from the kernel's pages, without reading them."""

import _socket
import os
import socket as stdlib
import sys
from typing import Any

from fibril import _core
from fibril._io.retry import NATIVE

__all__ = ["send_file"]

_NoSendfile: Any = vars(stdlib)["_GiveupOnSendfile"]


def _send_part(sock: _socket.socket, source: int, offset: int, size: int) -> int:
    """os.sendfile, waiting for room as long as the timeout says."""
    while True:
        try:
            return os.sendfile(sock.fileno(), source, offset, min(size, 1 << 30))
        except BlockingIOError:
            if not _core.wait_write(sock.fileno(), NATIVE.gettimeout(sock), True):
                raise TimeoutError("timed out") from None


def send_file(sock: _socket.socket, file: Any, offset: int, count: int | None) -> int:
    """Send `count` bytes of a file, or all, and leave its position behind what was sent."""
    if NATIVE.gettimeout(sock) == 0:
        raise ValueError("non-blocking sockets are not supported")
    begin, end = offset, sys.maxsize if count is None else offset + count
    try:
        source = file.fileno()
        while offset < end and (sent := _send_part(sock, source, offset, end - offset)):
            offset += sent
    except (AttributeError, OSError) as error:
        if offset > begin or isinstance(error, TimeoutError):
            raise
        raise _NoSendfile(error) from None  # the caller reads the file, and sends that
    finally:
        if offset > begin and hasattr(file, "seek"):
            file.seek(offset)
    return offset - begin
