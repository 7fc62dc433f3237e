"""eventlet.convenience, served by fibril: connections, listeners, and a server of one function."""

from __future__ import annotations

import errno
import os
import socket
import sys
import warnings
from collections.abc import Callable
from typing import Any

import fibril

from . import greenpool, greenthread
from .greenio import GreenSocket, shutdown_safe

__all__ = [
    "ReusePortUnavailableWarning",
    "ReuseRandomPortWarning",
    "StopServe",
    "connect",
    "listen",
    "serve",
    "wrap_ssl",
]


class ReuseRandomPortWarning(Warning):
    """A port that the system chooses is nobody's to share."""


class ReusePortUnavailableWarning(Warning):
    """The system does not let several sockets share a port."""


def connect(addr: Any, family: int = socket.AF_INET, bind: Any = None) -> Any:
    """A stream socket that is connected to an address; `bind`: from which.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    sock = GreenSocket(family, socket.SOCK_STREAM)
    if bind is not None:
        sock.bind(bind)
    sock.connect(addr)
    return sock


def listen(
    addr: Any,
    family: int = socket.AF_INET,
    backlog: int = 50,
    reuse_addr: bool = True,
    reuse_port: bool | None = None,
) -> Any:
    """A stream socket that listens at an address: (host, port), or a path with AF_UNIX.

    reuse_port: let several processes listen there; None: yes, where the port is given.

    Switches: never. Threads: any. Raises OSError.
    """
    if reuse_port and family in (socket.AF_INET, socket.AF_INET6) and addr[1] == 0:
        warnings.warn(
            "listen() is asked for a port that the system chooses, and to share it: nobody else "
            "will get that one. Name a port, or leave reuse_port out.",
            ReuseRandomPortWarning,
            stacklevel=3,
        )
    sock = GreenSocket(family, socket.SOCK_STREAM)
    if reuse_addr and sys.platform[:3] != "win":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family in (socket.AF_INET, socket.AF_INET6) and addr[1] == 0:
        reuse_port = reuse_port or False
    if reuse_port or (reuse_port is None and family != socket.AF_UNIX):
        _share_port(sock)
    sock.bind(addr)
    sock.listen(backlog)
    return sock


def _share_port(sock: Any) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        # EINVAL is how some systems say that they cannot, in a container for example.
        if error.errno not in (errno.EINVAL, errno.ENOPROTOOPT):
            raise
        warnings.warn(
            f"listen() cannot let others share the port: {os.strerror(error.errno)}",
            ReusePortUnavailableWarning,
            stacklevel=4,
        )


class StopServe(Exception):
    """Raised by a handler: serve() returns."""


def serve(sock: Any, handle: Callable[[Any, Any], Any], concurrency: int = 1000) -> None:
    """Accept connections for ever, and call handle(connection, address) for each in a pool.

    The connection is closed when that returns. StopServe ends it; another exception of a handler is
    raised here. concurrency: how many at once.

    Switches: if it must wait. Threads: owner.
    """
    pool = greenpool.GreenPool(concurrency)
    server = greenthread.getcurrent()
    while True:
        try:
            connection, address = sock.accept()
            pool.spawn(handle, connection, address).link(_stop_checker, server, connection)
            del connection  # the handler's alone
        except StopServe:
            return


def _stop_checker(thread: greenthread.GreenThread, server: Any, connection: Any) -> None:
    try:
        try:
            thread.wait()
        finally:
            shutdown_safe(connection)
            connection.close()
    except fibril.GreenletExit:
        pass  # whoever killed it wanted no more than that
    except Exception as error:
        fibril.kill(server, error)


def wrap_ssl(sock: Any, *a: Any, **kw: Any) -> Any:
    """A TLS socket of a connected or listening one; arguments as the former ssl.wrap_socket's.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    from .green.ssl import wrap_socket

    return wrap_socket(sock, *a, **kw)
