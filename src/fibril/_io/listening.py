"""Sockets that servers make for an address: how that is written, and what is asked of the kernel.

The idea: the address says the family. A path that a dead server has left is taken over. A name is
looked up by `bind` itself, at once: names to listen on are this machine's, and programs count on
start() not to let others run before the server listens.
Threads: any. Do not add: what is done with the socket.
"""

from __future__ import annotations

import os
import socket as stdlib
import stat
from errno import EADDRINUSE, ECONNREFUSED
from socket import AF_INET, AF_INET6, AF_UNIX
from typing import Any, NamedTuple, TypeVar

__all__ = ["Options", "bound_socket", "parse_address"]

_Socket = TypeVar("_Socket", bound=stdlib.socket)


class Options(NamedTuple):
    """What is set before a socket is bound."""

    reuse_addr: int | None  # None: as the system has it
    reuse_port: bool


def parse_address(address: Any) -> tuple[int, Any]:
    """The family and the socket address of what a server's `listener` says, if it is no socket.

    Switches: never. Threads: any. Raises TypeError or ValueError.

    >>> from fibril.baseserver import parse_address
    >>> [parse_address(each)[1] for each in ("localhost:80", ":80", 80, "[::1]:80", "unix:/run/x")]
    [('localhost', 80), ('', 80), ('', 80), ('::1', 80), '/run/x']
    """
    if isinstance(address, tuple):
        host = address[0] or ""
        return (AF_INET6 if not host or ":" in host else AF_INET), (host, *address[1:])
    if isinstance(address, int):
        return AF_INET6, ("", address)
    if isinstance(address, os.PathLike):
        return AF_UNIX, os.fspath(address)
    if not isinstance(address, str):
        raise TypeError(
            f'cannot listen on {address!r}. Give (host, port), a text such as "host:port", a '
            "port, a path or a socket."
        )
    if address.startswith("unix:"):
        return AF_UNIX, address.removeprefix("unix:")
    if "/" in address or address.startswith("\0"):
        return AF_UNIX, address
    host, colon, port = address.rpartition(":")
    if not port.isdecimal():
        raise ValueError(
            f'cannot listen on {address!r}: {port!r} is no port. Give "host:port", ":port", or '
            '"unix:" and a path.'
        )
    if not colon:
        return AF_INET6, ("", int(port))
    is_v6 = host.startswith("[") and host.endswith("]")
    if is_v6 or ":" in host:
        return AF_INET6, (host[1:-1] if is_v6 else host, int(port))
    return AF_INET, ("" if host == "*" else host, int(port))


def bound_socket(
    make: type[_Socket], kind: int, address: Any, family: int | None, options: Options
) -> _Socket:
    """A socket of a class and a kind, bound to an address, whose family None finds out.

    Switches: never. Threads: any. Raises OSError.
    """
    if family is None:
        family, address = parse_address(address)
    is_everywhere = isinstance(address, tuple) and not address[0]
    if family == AF_INET6 and is_everywhere and not stdlib.has_dualstack_ipv6():
        family = AF_INET
    sock = make(family, kind)
    try:
        if family != AF_UNIX:
            _set(sock, options, is_everywhere)
        _bind(sock, address)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError) and error.strerror:
            raise OSError(error.errno, f"{error.strerror}: to listen on {address!r}") from error
        raise
    return sock


def _set(sock: stdlib.socket, options: Options, is_everywhere: bool) -> None:
    if options.reuse_addr is not None:
        sock.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_REUSEADDR, options.reuse_addr)
    if options.reuse_port:
        sock.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_REUSEPORT, 1)
    if is_everywhere and sock.family == AF_INET6:  # of IPv4 as well, whatever is usual here
        sock.setsockopt(stdlib.IPPROTO_IPV6, stdlib.IPV6_V6ONLY, 0)


def _bind(sock: stdlib.socket, address: Any) -> None:
    try:
        sock.bind(address)
    except OSError as error:
        if sock.family != AF_UNIX or error.errno != EADDRINUSE or not _is_left(sock, address):
            raise
        os.unlink(address)  # by a server that did not close
        sock.bind(address)


def _is_left(sock: stdlib.socket, path: Any) -> bool:
    """Is it a socket that nobody has bound any more?"""
    if path[0] in ("\0", 0) or not stat.S_ISSOCK(os.stat(path).st_mode):
        return False
    with stdlib.socket(sock.family, sock.type) as probe:
        probe.settimeout(0)  # a full queue is a server's
        return probe.connect_ex(path) == ECONNREFUSED
