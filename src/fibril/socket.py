"""The standard library's `socket`, with sockets that let other tasks run while they wait.

The idea: every call is tried with MSG_DONTWAIT; only one that would block waits, in the hub. So a
socket whose user sees it as blocking stays a blocking descriptor for whoever inherits it, nothing
needs to be kept beside the socket, and the methods of this class serve `socket.socket` itself when
`fibril.monkey` puts them there.

Invariants: `socket` is a `socket.socket`, with its timeouts and errors. A socket belongs to whoever
waits on it, in whatever thread. Every descriptor is announced to the hubs when a socket object
takes it and again before it is closed, because numbers are used again; who waits gets EBADF.
The methods must not use `super()` without arguments: they are also called on other classes.
Do not add: what does not block; it is inherited, or comes from the standard library by name.
"""

import _socket
import os
import socket as stdlib
import sys
from _socket import MSG_DONTWAIT, MSG_ERRQUEUE, SO_ACCEPTCONN, SOL_SOCKET
from collections.abc import Callable
from errno import EAGAIN, EINPROGRESS, EINTR
from select import POLLIN, POLLOUT
from socket import *  # noqa: F403
from socket import EBADF, EWOULDBLOCK, SocketIO
from types import FunctionType
from typing import Any

from fibril import _core, native
from fibril.deadline import Deadline
from fibril.resolver import (
    getaddrinfo,
    gethostbyaddr,
    gethostbyname,
    gethostbyname_ex,
    getnameinfo,
    numeric_address,
)

__all__ = [
    *stdlib.__all__,
    "EBADF",
    "EWOULDBLOCK",
    "SocketIO",
    "_GLOBAL_DEFAULT_TIMEOUT",
    "wait_read",
    "wait_write",
]

_GLOBAL_DEFAULT_TIMEOUT: object = vars(stdlib)["_GLOBAL_DEFAULT_TIMEOUT"]
_NoSendfile: Any = vars(stdlib)["_GiveupOnSendfile"]
_native: Any = _socket.socket  # the C type: its methods are the system calls
_stdlib_init = stdlib.socket.__init__
_methods = _core.socket_methods
_accept_fd = _methods["accept_fd"]
_family = vars(_native)["family"].__get__  # the plain numbers: enum members cost 1 µs each
_type = vars(_native)["type"].__get__

Wait = Callable[[int, float | None, bool], bool]


def _wait(wait: Wait, fd: int, deadline: Deadline) -> None:
    """Wait for a descriptor that has just been found not ready, until the deadline."""
    if not wait(fd, deadline.remaining_s(), True):
        raise TimeoutError("timed out")


def _is_ready(fd: int, event: int) -> bool:
    poller = native.poll()
    poller.register(fd, event)
    return bool(poller.poll(0))


def _repeat(sock: _socket.socket, event: int, flags: int, call: Callable[[int], Any]) -> Any:
    """call(flags) until it does not find the socket empty, or full.

    A socket with a timeout is asked first: the C type would wait for it without us.
    """
    timeout = _native.gettimeout(sock)
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
        _wait(wait, sock.fileno(), deadline)


class socket(stdlib.socket):  # noqa: N801
    """A socket of the standard library whose waiting lets other tasks run.

    All of `socket.socket` is there; the methods below are the ones that may wait. Each waits as
    long as the socket's timeout says and then raises TimeoutError; with timeout 0 it never waits
    and raises BlockingIOError. When another task closes the socket, it raises OSError (EBADF).

    Switches: if it must wait. Threads: any.

    >>> from fibril import socket
    >>> left, right = socket.socketpair()
    >>> left.sendall(b"hello")
    >>> right.recv(10)
    b'hello'
    """

    __slots__ = ()

    recv = _methods["recv"]
    recv_into = _methods["recv_into"]
    send = _methods["send"]
    sendall = _methods["sendall"]

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        _stdlib_init(self, family, type, proto, fileno)
        _core.fd_forget(_native.fileno(self))

    def accept(self) -> tuple[stdlib.socket, Any]:
        """Wait for a connection; its socket, and the peer's address."""
        if _native.gettimeout(self) is None and os.get_blocking(self.fileno()):
            # Between "ready" and accept another process may take the connection.
            os.set_blocking(self.fileno(), False)
        kind = socket if isinstance(self, socket) else stdlib.socket
        while True:
            fd, address = _accept_fd(self)
            peer = kind(_family(self), _type(self), self.proto, fd)
            if address is not None:
                return peer, address
            try:
                return peer, peer.getpeername()
            except OSError:
                peer.close()  # it is gone already, as if it had never come

    def connect(self, address: Any, /) -> None:
        """Connect to an address; a host's name is looked up first."""
        if error := _connect(self, numeric_address(self, address)):
            raise OSError(error, os.strerror(error))

    def connect_ex(self, address: Any, /) -> int:
        """As `connect`, but a failed connection is an error number returned, not raised."""
        address = numeric_address(self, address)
        try:
            return _connect(self, address)
        except OSError as error:
            if isinstance(error, stdlib.gaierror):
                raise
            return error.errno or EAGAIN  # a timeout of ours has no number

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> Any:
        """Receive bytes and the sender's address."""
        return _repeat(self, POLLIN, flags, lambda now: _native.recvfrom(self, bufsize, now))

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> Any:
        """Receive into a buffer; the number of bytes and the sender's address."""
        return _repeat(
            self, POLLIN, flags, lambda now: _native.recvfrom_into(self, buffer, nbytes, now)
        )

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> Any:
        """Receive bytes with their ancillary data, flags and the sender's address."""
        return _repeat(
            self, POLLIN, flags, lambda now: _native.recvmsg(self, bufsize, ancbufsize, now)
        )

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0, /) -> Any:
        """Receive into several buffers, with ancillary data, flags and the sender's address."""
        buffers = list(buffers)  # an iterator would be used up by the first try
        return _repeat(
            self, POLLIN, flags, lambda now: _native.recvmsg_into(self, buffers, ancbufsize, now)
        )

    def sendto(self, data: Any, *flags_and_address: Any) -> Any:
        """Send to an address, given after the flags if there are any."""
        if len(flags_and_address) not in (1, 2):
            return _native.sendto(self, data, *flags_and_address)  # it says what is wrong
        flags = flags_and_address[0] if len(flags_and_address) == 2 else 0
        address = numeric_address(self, flags_and_address[-1])
        return _repeat(self, POLLOUT, flags, lambda now: _native.sendto(self, data, now, address))

    def sendmsg(
        self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /
    ) -> Any:
        """Send several buffers as one message, with ancillary data."""
        buffers, ancdata = list(buffers), list(ancdata)
        address = address and numeric_address(self, address)
        return _repeat(
            self, POLLOUT, flags, lambda now: _native.sendmsg(self, buffers, ancdata, now, address)
        )

    def detach(self) -> int:
        """Give the descriptor away, blocking again if the socket was; the socket is closed."""
        fd = _native.fileno(self)
        _core.fd_forget(fd)
        is_blocking = fd >= 0 and _native.gettimeout(self) is None
        if is_blocking and self.getsockopt(SOL_SOCKET, SO_ACCEPTCONN):
            os.set_blocking(fd, True)  # `accept` may have changed it
        self._closed = True
        return int(_native.detach(self))

    def _real_close(
        self, _close: Any = _native.close, _fd: Any = _native.fileno, _forget: Any = _core.fd_forget
    ) -> None:
        # No globals: this also runs while the interpreter ends.
        _forget(_fd(self))
        _close(self)

    def _sendfile_use_sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]
        if _native.gettimeout(self) is not None:
            return _send_file(self, file, offset, count)
        os.set_blocking(self.fileno(), False)  # os.sendfile has no MSG_DONTWAIT
        try:
            return _send_file(self, file, offset, count)
        finally:
            if self.fileno() >= 0:
                os.set_blocking(self.fileno(), True)


def _send_part(sock: _socket.socket, source: int, offset: int, size: int) -> int:
    """os.sendfile, waiting for room as long as the timeout says."""
    while True:
        try:
            return os.sendfile(sock.fileno(), source, offset, min(size, 1 << 30))
        except BlockingIOError:
            if not _core.wait_write(sock.fileno(), _native.gettimeout(sock), True):
                raise TimeoutError("timed out") from None


def _send_file(sock: _socket.socket, file: Any, offset: int, count: int | None) -> int:
    """Send `count` bytes of a file, or all, and leave its position behind what was sent."""
    if _native.gettimeout(sock) == 0:
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


def _connect_now(sock: _socket.socket, address: Any) -> int:
    """Begin to connect; 0 if that was all, or the number of the error that says to wait."""
    timeout = _native.gettimeout(sock)
    _native.settimeout(sock, 0)  # else the C type would wait without us
    try:
        _native.connect(sock, address)
    except (BlockingIOError, InterruptedError) as error:
        return int(error.errno or 0)
    finally:
        _native.settimeout(sock, timeout)
    return 0


def _connect(sock: socket, address: Any) -> int:
    error = _connect_now(sock, address)
    timeout = _native.gettimeout(sock)
    if error == 0 or timeout == 0:
        return error
    deadline = Deadline(timeout)
    pause_s = 0.001
    while error == EAGAIN:
        # A Unix socket whose listener's queue is full; nothing tells when it no longer is.
        _pause(pause_s, deadline)
        pause_s = min(2 * pause_s, 0.05)
        error = _connect_now(sock, address)
    if error not in (EINPROGRESS, EINTR):
        return error
    _wait(_core.wait_write, sock.fileno(), deadline)
    # To ask again, and not for SO_ERROR, lets the kernel end this attempt: after a failed one the
    # socket can try anew, as a blocking one can.
    return _connect_now(sock, address)


def _pause(seconds: float, deadline: Deadline) -> None:
    remaining_s = deadline.remaining_s()
    if remaining_s is not None and remaining_s <= 0:
        raise TimeoutError("timed out")
    _core.sleep(seconds if remaining_s is None else min(seconds, remaining_s))


def wait_read(fileno: int, timeout: float | None = None, timeout_exc: Any = None) -> None:
    """Wait until a descriptor is readable: data, a connection, the end, or an error.

    Raises `timeout_exc` (by default TimeoutError) after `timeout` seconds, and OSError (EBADF) if
    one of fibril's sockets has the descriptor and is closed meanwhile.

    Switches: if it must wait. Threads: any.
    """
    if not _core.wait_read(fileno, timeout):
        raise timeout_exc or TimeoutError("timed out")


def wait_write(fileno: int, timeout: float | None = None, timeout_exc: Any = None) -> None:
    """Wait until a descriptor is writable, or an error is to be told; else as `wait_read`.

    Switches: if it must wait. Threads: any.
    """
    if not _core.wait_write(fileno, timeout):
        raise timeout_exc or TimeoutError("timed out")


def _with_our_names(function: Any) -> Any:
    """The standard library's function, reading our names where they differ from its own."""
    ours = {
        "socket": socket,
        "getaddrinfo": getaddrinfo,
        "gethostbyaddr": gethostbyaddr,
    }
    names = {**vars(stdlib), **ours}
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    return copy


create_connection = _with_our_names(stdlib.create_connection)
create_server = _with_our_names(stdlib.create_server)
fromfd = _with_our_names(stdlib.fromfd)
getfqdn = _with_our_names(stdlib.getfqdn)
socketpair = _with_our_names(stdlib.socketpair)
