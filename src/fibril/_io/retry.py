"""Trying an operation of a socket until it does not find it empty, or full.

The idea: each is tried with MSG_DONTWAIT; only one that would block waits, in the hub, and is tried
again. A timeout of the socket's bounds all of it.
Do not add: kinds of operations.
"""

import _socket
from _socket import MSG_DONTWAIT, MSG_ERRQUEUE
from collections.abc import Callable
from select import POLLIN
from typing import TypeVar

from fibril import _core, native
from fibril.timeout import Deadline

__all__ = [
    "NATIVE",
    "Pauses",
    "Wait",
    "is_ready",
    "repeat",
    "repeat_with_pauses",
    "wait_until",
]

NATIVE = _socket.socket  # the C type: its methods are the system calls
Wait = Callable[[int, float | None, bool], bool]
_R = TypeVar("_R")
_PAUSE_S, _PAUSE_S_MAX = 0.001, 0.05


class Pauses:
    """The waits between attempts at what the kernel does not tell of: each twice as long."""

    __slots__ = ("_max_s", "_seconds", "deadline")

    def __init__(
        self, deadline: Deadline, first_s: float = _PAUSE_S, max_s: float = _PAUSE_S_MAX
    ) -> None:
        self.deadline = deadline
        self._seconds, self._max_s = first_s, max_s

    def next_s(self) -> float:
        """How long the next wait is, in seconds, as far as the deadline allows.

        Switches: never. Threads: any. Raises TimeoutError at the deadline.
        """
        remaining_s, seconds = self.deadline.remaining_s(), self._seconds
        if remaining_s is not None and remaining_s <= 0:
            raise TimeoutError("timed out")
        self._seconds = min(2 * seconds, self._max_s)
        return seconds if remaining_s is None else min(seconds, remaining_s)

    def wait(self) -> None:
        """Sleep until the next attempt is due, but not beyond the deadline.

        Switches: always. Threads: any. Raises TimeoutError at the deadline.
        """
        _core.sleep(self.next_s())


def wait_until(deadline: Deadline, wait: Wait, fd: int) -> None:
    """Wait for a descriptor that has just been found not ready.

    Switches: always. Threads: any. Raises TimeoutError at the deadline.
    """
    if not wait(fd, deadline.remaining_s(), True):
        raise TimeoutError("timed out")


def is_ready(fd: int, event: int) -> bool:
    """Whether a descriptor is ready now, for one of poll's events.

    Switches: never. Threads: any.
    """
    poller = native.poll()
    poller.register(fd, event)
    return bool(poller.poll(0))


def repeat(sock: _socket.socket, event: int, flags: int, call: Callable[[int], _R]) -> _R:
    """call(flags) until it does not find the socket empty, or full.

    A socket with a timeout is asked first: the C type would wait for it without us.

    Switches: if it must wait. Threads: any.
    """
    timeout = NATIVE.gettimeout(sock)
    # The queue of errors is never waited for, whatever the socket's mode: the kernel says EAGAIN.
    if timeout == 0 or (timeout is None and flags & (MSG_DONTWAIT | MSG_ERRQUEUE)):
        return call(flags)
    deadline = Deadline(timeout)
    wait: Wait = _core.wait_read if event == POLLIN else _core.wait_write
    while True:
        if timeout is None or is_ready(sock.fileno(), event):
            try:
                return call(flags | MSG_DONTWAIT)
            except BlockingIOError:
                pass
        wait_until(deadline, wait, sock.fileno())


def repeat_with_pauses(sock: _socket.socket, flags: int, call: Callable[[int], _R]) -> _R:
    """The same for what the kernel does not tell of: a Unix datagram for a receiver whose queue is
    full. Its sender counts as writable all the time.

    Switches: if it must wait. Threads: any.
    """
    timeout = NATIVE.gettimeout(sock)
    if timeout == 0 or (timeout is None and flags & MSG_DONTWAIT):
        return call(flags)
    pauses = Pauses(Deadline(timeout))
    while True:
        try:
            return call(flags | MSG_DONTWAIT)
        except BlockingIOError:
            pauses.wait()
