"""Connecting: begun at once, waited for in the hub, and asked for once more."""

from __future__ import annotations

import _socket
from errno import EAGAIN, EINPROGRESS, EINTR
from typing import Any

from fibril import _core
from fibril._io.retry import NATIVE, Pauses, wait_until
from fibril.timeout import Deadline

__all__ = ["connect"]


def _connect_now(sock: _socket.socket, address: Any) -> int:
    """Begin to connect; 0 if that was all, or the number of the error that says to wait."""
    timeout = NATIVE.gettimeout(sock)
    NATIVE.settimeout(sock, 0)  # else the C type would wait without us
    try:
        NATIVE.connect(sock, address)
    except (BlockingIOError, InterruptedError) as error:
        return int(error.errno or 0)
    finally:
        NATIVE.settimeout(sock, timeout)
    return 0


def connect(sock: _socket.socket, address: Any) -> int:
    """Connect; 0, or the number of the error.

    Switches: if it must wait. Threads: any. Raises TimeoutError.
    """
    error = _connect_now(sock, address)
    timeout = NATIVE.gettimeout(sock)
    if error == 0 or timeout == 0:
        return error
    deadline = Deadline(timeout)
    pauses = Pauses(deadline)
    while error == EAGAIN:
        # A Unix socket whose listener's queue is full; nothing tells when it no longer is.
        pauses.wait()
        error = _connect_now(sock, address)
    if error not in (EINPROGRESS, EINTR):
        return error
    wait_until(deadline, _core.wait_write, sock.fileno())
    # To ask again, and not for SO_ERROR, lets the kernel end this attempt: after a failed one the
    # socket can try anew, as a blocking one can.
    return _connect_now(sock, address)
