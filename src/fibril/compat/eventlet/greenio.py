"""eventlet.greenio, served by fibril: its sockets and files by eventlet's names."""

from __future__ import annotations

import errno
import os
import socket as _stdlib
from typing import Any

import fibril.socket
from fibril import fileobject

from .hubs import IOClosed, trampoline
from .hubs import hub as _hub

__all__ = [
    "SOCKET_BLOCKING",
    "SOCKET_CLOSED",
    "GreenPipe",
    "GreenSocket",
    "SSL",
    "_GLOBAL_DEFAULT_TIMEOUT",
    "IOClosed",
    "set_nonblocking",
    "shutdown_safe",
    "trampoline",
]

_GLOBAL_DEFAULT_TIMEOUT = fibril.socket._GLOBAL_DEFAULT_TIMEOUT
SOCKET_BLOCKING = {errno.EAGAIN, errno.EWOULDBLOCK}
SOCKET_CLOSED = {errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN}
SOCKET_CLOSED.add(errno.EPIPE)
CONNECT_ERR = {errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK}
CONNECT_SUCCESS = {0, errno.EISCONN}


class SSL:
    """Names of pyOpenSSL's that programs catch; nothing here raises them."""

    class WantReadError(Exception):
        """It would wait to read."""

    class WantWriteError(Exception):
        """It would wait to write."""

    class ZeroReturnError(Exception):
        """The peer has ended TLS."""

    class SysCallError(Exception):
        """The system refused."""


class GreenSocket(fibril.socket.socket):
    """A socket whose waiting lets other greenthreads run.

    family: or a socket, whose descriptor this one takes over. set_nonblocking: make the descriptor
    non-blocking, for who uses it by itself.

    Switches: if it must wait. Threads: any. Raises OSError.
    """

    def __init__(
        self,
        family: Any = _stdlib.AF_INET,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
        set_nonblocking: bool = True,
    ) -> None:
        if isinstance(family, _stdlib.socket):
            timeout = family.gettimeout()
            kind = family.family, family.type, family.proto
            super().__init__(*kind, family.detach())
            if timeout is not None:
                self.settimeout(timeout)
        else:
            super().__init__(family, type, proto, fileno)
        if set_nonblocking:
            os.set_blocking(self.fileno(), False)

    @property
    def fd(self) -> GreenSocket:
        """eventlet's socket beneath: this one."""
        return self

    def accept(self) -> tuple[GreenSocket, Any]:
        """Wait for a connection; its socket, and the peer's address."""
        peer, address = super().accept()
        return type(self)(peer), address

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive bytes; none at the end, which a reset connection is, too.

        RuntimeError if another greenthread receives: see debug.hub_prevent_multiple_readers.
        """
        self._begin_to_read()
        try:
            return super().recv(bufsize, flags)
        except OSError as error:
            if error.errno not in SOCKET_CLOSED:
                raise
            return b""
        finally:
            self._is_read = False

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into a buffer; 0 at the end; else as recv()."""
        self._begin_to_read()
        try:
            return super().recv_into(buffer, nbytes, flags)
        except OSError as error:
            if error.errno not in SOCKET_CLOSED:
                raise
            return 0
        finally:
            self._is_read = False

    _is_read = False

    def _begin_to_read(self) -> None:
        if self._is_read and _hub.g_prevent_multiple_readers:
            raise _hub.second_at("read", self.fileno())
        self._is_read = True

    def dup(self) -> GreenSocket:
        """Another socket of the same descriptor."""
        is_blocking = os.get_blocking(self.fileno())
        copy = super().dup()
        os.set_blocking(copy.fileno(), is_blocking)  # of both: they share it
        return copy


def GreenPipe(f: Any, mode: str = "r", bufsize: int = -1, **options: Any) -> Any:  # noqa: N802
    """A file object of a path, a descriptor or a file, whose waiting lets others run.

    Switches: if it must wait, as do its methods. Threads: any. Raises OSError, ValueError.
    """
    if not isinstance(f, (int, str, bytes, os.PathLike)):
        f.flush()
        f = os.dup(f.fileno())
    return fileobject.open(f, mode, bufsize, **options)


#: eventlet's name for the same.
GreenFileIO = GreenPipe


def set_nonblocking(fd: Any) -> None:
    """Make a socket, file or descriptor non-blocking."""
    os.set_blocking(fd if isinstance(fd, int) else fd.fileno(), False)


def shutdown_safe(sock: Any) -> None:
    """Shut a socket down, connected or not, closed or not, TLS or not."""
    try:
        try:
            sock.shutdown(_stdlib.SHUT_RDWR)
        except TypeError:  # pyOpenSSL's takes none
            sock.shutdown()
    except OSError as error:
        if error.errno not in (errno.ENOTCONN, errno.EBADF, errno.ENOTSOCK):
            raise
