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

from __future__ import annotations

import _socket
import functools
import os
import socket as stdlib
import sys
from collections.abc import Callable, Iterable
from errno import EAGAIN, EINPROGRESS, EINTR
from select import POLLIN, POLLOUT
from socket import *  # noqa: F403
from socket import (
    AF_UNIX,
    EBADF,
    EWOULDBLOCK,
    SO_ACCEPTCONN,
    SOCK_DGRAM,
    SOL_SOCKET,
    SocketIO,
)
from typing import TYPE_CHECKING, Any, ParamSpec, overload

from fibril import _core, native
from fibril._io.connect import connect
from fibril._io.hosts import (
    getaddrinfo,
    gethostbyaddr,
    gethostbyname,
    gethostbyname_ex,
    getnameinfo,
    numeric_address,
)
from fibril._io.names import reading
from fibril._io.retry import NATIVE, repeat, repeat_with_pauses
from fibril._io.sendfile import send_file
from fibril._io.streams import take_turns
from fibril.hub import get_hub
from fibril.timeout import Timeout

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from fibril._hub.watcher import Watcher
    from fibril.hub import Hub

__all__ = [
    *stdlib.__all__,
    "EBADF",
    "EWOULDBLOCK",
    "SocketIO",
    "_GLOBAL_DEFAULT_TIMEOUT",
    "cancel_wait",
    "cancel_wait_ex",
    "wait",
    "wait_read",
    "wait_readwrite",
    "wait_write",
]

_P = ParamSpec("_P")
_Ancillary = list[tuple[int, int, bytes]]

_GLOBAL_DEFAULT_TIMEOUT: object = vars(stdlib)["_GLOBAL_DEFAULT_TIMEOUT"]
_stdlib_init = stdlib.socket.__init__
_methods = _core.socket_methods
_accept_as = _methods["accept_as"]
_recvfrom_usual, _sendto_usual = _methods["recvfrom_usual"], _methods["sendto_usual"]
_family = vars(NATIVE)["family"].__get__  # the plain numbers: enum members cost 1 µs each
_type = vars(NATIVE)["type"].__get__


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
        # Who still waits for that number waits for one that was closed behind the hubs' back.
        _core.fd_forget(NATIVE.fileno(self))

    def accept(self) -> tuple[socket, Any]:
        """Wait for a connection; its socket, and the peer's address."""
        return accept_from(self, socket if isinstance(self, socket) else stdlib.socket)

    def connect(self, address: Any, /) -> None:
        """Connect to an address; a host's name is looked up first."""
        if error := connect(self, numeric_address(self, address)):
            raise OSError(error, os.strerror(error))

    def connect_ex(self, address: Any, /) -> int:
        """As `connect`, but a failed connection is an error number returned, not raised."""
        address = numeric_address(self, address)
        try:
            return connect(self, address)
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                return EAGAIN  # a timeout of ours
            if isinstance(error, stdlib.gaierror) or error.errno is None:
                raise  # of the address
            return error.errno

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """Receive bytes and the sender's address."""
        if (found := _recvfrom_usual(self, bufsize, flags)) is not NotImplemented:
            return found  # type: ignore[no-any-return]
        return repeat(self, POLLIN, flags, lambda now: NATIVE.recvfrom(self, bufsize, now))

    def recvfrom_into(
        self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0
    ) -> tuple[int, Any]:
        """Receive into a buffer; the number of bytes and the sender's address."""
        return repeat(
            self, POLLIN, flags, lambda now: NATIVE.recvfrom_into(self, buffer, nbytes, now)
        )

    def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[bytes, _Ancillary, int, Any]:
        """Receive bytes with their ancillary data, flags and the sender's address."""
        return repeat(
            self, POLLIN, flags, lambda now: NATIVE.recvmsg(self, bufsize, ancbufsize, now)
        )

    def recvmsg_into(
        self, buffers: Iterable[WriteableBuffer], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, _Ancillary, int, Any]:
        """Receive into several buffers, with ancillary data, flags and the sender's address."""
        buffers = list(buffers)  # an iterator would be used up by the first try
        return repeat(
            self, POLLIN, flags, lambda now: NATIVE.recvmsg_into(self, buffers, ancbufsize, now)
        )

    def sendto(self, data: ReadableBuffer, *flags_and_address: Any) -> int:
        """Send to an address, given after the flags if there are any."""
        if len(flags_and_address) not in (1, 2):
            return NATIVE.sendto(self, data, *flags_and_address)  # it says what is wrong
        flags = flags_and_address[0] if len(flags_and_address) == 2 else 0
        sent = _sendto_usual(self, data, flags, flags_and_address[-1])
        if sent is not NotImplemented:
            return sent  # type: ignore[no-any-return]
        address = numeric_address(self, flags_and_address[-1])
        return _send(self, flags, lambda now: NATIVE.sendto(self, data, now, address))

    def sendmsg(
        self,
        buffers: Iterable[ReadableBuffer],
        ancdata: Iterable[tuple[int, int, ReadableBuffer]] = (),
        flags: int = 0,
        address: Any = None,
        /,
    ) -> int:
        """Send several buffers as one message, with ancillary data."""
        buffers, ancdata = list(buffers), list(ancdata)
        address = address and numeric_address(self, address)
        return _send(self, flags, lambda now: NATIVE.sendmsg(self, buffers, ancdata, now, address))

    if not TYPE_CHECKING:  # checkers take the standard library's, with all its overloads

        @functools.wraps(stdlib.socket.makefile)
        def makefile(self, *args, **options):
            take_turns()
            return stdlib.socket.makefile(self, *args, **options)

    def detach(self) -> int:
        """Give the descriptor away, blocking again if the socket was; the socket is closed."""
        fd = NATIVE.fileno(self)
        _core.fd_forget(fd)
        is_blocking = fd >= 0 and NATIVE.gettimeout(self) is None
        if is_blocking and self.getsockopt(SOL_SOCKET, SO_ACCEPTCONN):
            os.set_blocking(fd, True)  # `accept` may have changed it
        self._closed = True
        return int(NATIVE.detach(self))

    def _real_close(
        self, _close: Any = NATIVE.close, _fd: Any = NATIVE.fileno, _forget: Any = _core.fd_forget
    ) -> None:
        # No globals: this also runs while the interpreter ends.
        _forget(_fd(self))
        _close(self)

    def _sendfile_use_sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]
        if NATIVE.gettimeout(self) is not None:
            return send_file(self, file, offset, count)
        os.set_blocking(self.fileno(), False)  # os.sendfile has no MSG_DONTWAIT
        try:
            return send_file(self, file, offset, count)
        finally:
            if self.fileno() >= 0:
                os.set_blocking(self.fileno(), True)


_init = socket.__init__  # with it a socket need not be asked what it is


def accept_from(listener: Any, kind: type[Any]) -> tuple[Any, Any]:
    """Wait for a connection: its socket, of that class, and the peer's address.

    Switches: if it must wait. Threads: any. Raises as `socket.accept`.
    """
    is_usual = kind.__init__ is _init and stdlib.getdefaulttimeout() is None
    while True:
        peer, address = _accept_as(listener, kind if is_usual else None)
        if not isinstance(peer, kind):
            peer = kind(_family(listener), _type(listener), listener.proto, peer)
        if address is not None:  # of a kind that the native part knows
            return peer, address
        try:
            return peer, peer.getpeername()
        except OSError:
            peer.close()  # it is gone already, as if it had never come


def _send(sock: _socket.socket, flags: int, call: Callable[[int], int]) -> int:
    """Send a message, wherever to."""
    if _family(sock) == AF_UNIX and _type(sock) == SOCK_DGRAM:
        return repeat_with_pauses(sock, flags, call)
    return repeat(sock, POLLOUT, flags, call)


def wait_read(fileno: int, timeout: float | None = None, timeout_exc: Any = None) -> None:
    """Wait until a descriptor is readable: data, a connection, the end, or an error.

    Raises `timeout_exc` (by default TimeoutError) after `timeout` seconds, and OSError (EBADF) if
    one of fibril's sockets has the descriptor and is closed meanwhile.

    Switches: if it must wait. Threads: any.
    """
    if not _core.wait_read(fileno, timeout):
        raise timeout_exc or TimeoutError("timed out")


def wait_write(
    fileno: int, timeout: float | None = None, timeout_exc: Any = None, event: Any = None
) -> None:
    """Wait until a descriptor is writable, or an error is to be told; else as `wait_read`.

    event: changes nothing, as with gevent.

    Switches: if it must wait. Threads: any.
    """
    if not _core.wait_write(fileno, timeout):
        raise timeout_exc or TimeoutError("timed out")


def wait_readwrite(
    fileno: int, timeout: float | None = None, timeout_exc: Any = None, event: Any = None
) -> None:
    """Wait until a descriptor is readable or writable, whichever is first; else as `wait_read`.

    event: changes nothing, as with gevent.

    Switches: if it must wait. Threads: any.
    """
    if not _core.wait_readwrite(fileno, timeout):
        raise timeout_exc or TimeoutError("timed out")


class cancel_wait_ex(OSError):  # noqa: N801  # gevent's name
    """What a cancelled wait raises: EBADF, as if the descriptor were closed."""

    def __init__(self) -> None:
        super().__init__(EBADF, "The wait was cancelled, or another task closed the descriptor")


def wait(
    watcher: Watcher,
    timeout: float | None = None,
    timeout_exc: Any = None,
    hub: Hub | None = None,
) -> None:
    """Wait for a watcher of the hub's loop, as its `wait` does.

    Raises `timeout_exc` (by default TimeoutError) after `timeout` seconds. hub: this thread's, if
    it is at hand.

    Switches: always. Threads: owner. Raises ConcurrentObjectUseError if the watcher is in use.

    >>> import fibril
    >>> from fibril import socket
    >>> socket.wait(fibril.get_hub().loop.timer(0.01), timeout=10)
    """
    with Timeout(timeout, timeout_exc or TimeoutError("timed out")):
        (hub or get_hub()).wait(watcher)


def cancel_wait(watcher: Watcher, error: Any = cancel_wait_ex) -> None:
    """Raise `error` soon in the task that waits for the watcher, if one does.

    Switches: never. Threads: owner.
    """
    get_hub().cancel_wait(watcher, error)


@overload
def _with_our_names(function: Callable[_P, stdlib.socket]) -> Callable[_P, socket]: ...


@overload
def _with_our_names(
    function: Callable[_P, tuple[stdlib.socket, stdlib.socket]],
) -> Callable[_P, tuple[socket, socket]]: ...


@overload
def _with_our_names(function: Callable[_P, str]) -> Callable[_P, str]: ...


def _with_our_names(function: Any) -> Any:
    """The standard library's function, reading our names where they differ from its own."""
    return reading(_names, function)


_names: dict[str, Any] = {
    **vars(stdlib),
    "socket": socket,
    "getaddrinfo": getaddrinfo,
    "gethostbyaddr": gethostbyaddr,
}
create_connection = _with_our_names(stdlib.create_connection)
create_server = _with_our_names(stdlib.create_server)
fromfd = _with_our_names(stdlib.fromfd)
getfqdn = _with_our_names(stdlib.getfqdn)
socketpair = _with_our_names(stdlib.socketpair)
