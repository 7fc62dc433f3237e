"""Trying an operation of a socket until it does not find it empty, or full.

The idea: each is tried with MSG_DONTWAIT; only one that would block waits, in the hub, and is tried
again. A timeout of the socket's bounds all of it.
Do not add: kinds of operations.
"""

import _socket
from _socket import MSG_DONTWAIT, MSG_ERRQUEUE
from collections.abc import Callable
from select import POLLIN
from typing import Any

from fibril import _core, native
from fibril.timeout import Deadline

__all__ = ["NATIVE", "Wait", "repeat", "wait_until"]

NATIVE: Any = _socket.socket  # the C type: its methods are the system calls
Wait = Callable[[int, float | None, bool], bool]


def wait_until(deadline: Deadline, wait: Wait, fd: int) -> None:
    """Wait for a descriptor that has just been found not ready.

    Switches: always. Threads: any. Raises TimeoutError at the deadline.
    """
    if not wait(fd, deadline.remaining_s(), True):
        raise TimeoutError("timed out")


def _is_ready(fd: int, event: int) -> bool:
    poller = native.poll()
    poller.register(fd, event)
    return bool(poller.poll(0))


def repeat(sock: _socket.socket, event: int, flags: int, call: Callable[[int], Any]) -> Any:
    """call(flags) until it does not find the socket empty, or full.

    A socket with a timeout is asked first: the C type would wait for it without us.

    Switches: if it must wait. Threads: any.
    """
    timeout = NATIVE.gettimeout(sock)
    if timeout == 0 or (timeout is None and flags & (MSG_DONTWAIT | MSG_ERRQUEUE)):
        return call(flags)
    deadline = Deadline(timeout)
    wait: Wait = _core.wait_read if event == POLLIN else _core.wait_write
    while True:
        if timeout is None or _is_ready(sock.fileno(), event):
            try:
                return call(flags | MSG_DONTWAIT)
            except BlockingIOError:
                pass
        wait_until(deadline, wait, sock.fileno())
