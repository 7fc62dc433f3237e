"""Servers of connections, with TLS if asked, and of datagrams.

The idea: fibril.baseserver accepts; here is what of: sockets that listen, whose connections are
handed to handlers as sockets of fibril's. TLS is shaken hands over in the handler's task, within a
time, so a client that says nothing keeps one place for that long and nobody else waiting.

Invariants: TLS's farewell (close_notify) is sent only if the handler has returned: an answer that
was cut off must not look whole. A path that start() made is taken away by the close() of the same
process.
Threads: as baseserver says. Do not add: protocols; they are handlers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import (
    ECONNABORTED,
    ECONNREFUSED,
    EHOSTDOWN,
    EHOSTUNREACH,
    ENETDOWN,
    ENETUNREACH,
    ENONET,
    ENOPROTOOPT,
    EPERM,
    EPROTO,
)
from typing import Any

from fibril import _core
from fibril import socket as _socket
from fibril._io.accepting import say
from fibril._io.listening import Options, bound_socket
from fibril.baseserver import BaseServer

__all__ = ["DatagramServer", "StreamServer"]

# What accept() says of one connection, or recvfrom() of a datagram sent before, and not of the
# listener. (EPERM: a firewall's.)
_OF_ONE_CLIENT = {
    *(ECONNABORTED, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENONET),
    *(ENOPROTOOPT, EPERM, EPROTO),
}
# Of the keyword arguments for TLS, what a context is made of, and what its wrap_socket() takes.
_OF_CONTEXT = {"keyfile", "certfile", "cert_reqs", "ssl_version", "ca_certs", "ciphers"}
_OF_WRAPPING = {
    *("server_side", "do_handshake_on_connect", "suppress_ragged_eofs", "server_hostname"),
    "session",
}


class _Bound(BaseServer):
    """A server that binds a socket of its own when it starts, where it was given an address."""

    #: Bind although connections of a former server are not quite over (SO_REUSEADDR); None: leave
    #: it as the system has it. (Two servers of UDP that have it may bind one port: the later one
    #: gets all.)
    reuse_addr: int | None = 1
    #: Bind although others have, of this user, that say so, too (SO_REUSEPORT): the kernel shares
    #: clients out among them.
    reuse_port = False

    _path: tuple[str, int, int, int] | None = None  # that we made: its inode, and in which process

    def __init__(
        self,
        listener: Any,
        handle: Callable[..., Any] | None = None,
        spawn: Any = "default",
        *,
        reuse_port: bool | None = None,
    ) -> None:
        super().__init__(listener, handle=handle, spawn=spawn)
        if reuse_port is not None:
            self.reuse_port = reuse_port

    @classmethod
    def _bound_socket(
        cls, kind: int, address: Any, family: int | None, reuse_port: bool | None
    ) -> _socket.socket:
        options = Options(cls.reuse_addr, cls.reuse_port if reuse_port is None else reuse_port)
        return bound_socket(_socket.socket, kind, address, family, options)

    def _take_listener(self, get: Callable[..., Any], *args: Any) -> None:
        """Have `get`, which may be a subclass's, make the socket."""
        self.socket = get(*args, **({"reuse_port": True} if self.reuse_port else {}))
        self.address = self.socket.getsockname()
        if self.family == _socket.AF_UNIX and self.address and self.address[0] not in ("\0", 0):
            found = os.stat(self.address)
            self._path = self.address, found.st_dev, found.st_ino, os.getpid()

    def close(self) -> None:
        """Accept no more, and close the socket. Handlers go on; start() would listen anew."""
        super().close()
        made, self._path = self._path, None
        if made is not None and made[3] == os.getpid():
            try:
                found = os.stat(made[0])
                if (found.st_dev, found.st_ino) == made[1:3]:
                    os.unlink(made[0])
            except FileNotFoundError:  # somebody has
                pass


class StreamServer(_Bound):
    """A server of connections: TCP, Unix sockets, and TLS over either.

    listener, handle, spawn: as for BaseServer; the handler is called with the connection, a socket,
    and the client's address. backlog: how many clients may wait in the kernel; 128. reuse_port: let
    other processes listen on the same port, each with a queue of its own (SO_REUSEPORT); the
    attribute of that name by default.
    ssl_args: any of them turns TLS on. ssl_context: a server's `ssl.SSLContext`; or keyfile,
    certfile, ca_certs, cert_reqs, ssl_version and ciphers, of which one is made. server_side,
    do_handshake_on_connect and suppress_ragged_eofs: as for its `wrap_socket`.

    A client that has not shaken hands after `handshake_timeout` seconds is closed, and one line
    says so, as for any handshake that fails.

    Switches: never, as BaseServer; stop() and serve_forever() if they must wait.
    Threads: owner; stop() and close() from any. Raises as BaseServer, and what is wrong with TLS.

    >>> import fibril
    >>> from fibril import socket
    >>> from fibril.server import StreamServer
    >>> def echo(client, address):
    ...     while data := client.recv(4096):
    ...         client.sendall(data)
    >>> server = StreamServer("127.0.0.1:0", echo)
    >>> server.start()
    >>> with socket.create_connection(server.address) as client:
    ...     client.sendall(b"hello")
    ...     client.recv(100)
    b'hello'
    >>> server.stop()
    """

    #: How many clients may wait in the kernel to be accepted.
    backlog = 128
    #: Seconds that a client may take for TLS's handshake; None: for ever. It takes two round trips
    #: and the thread for a millisecond: 30 s are enough where five packets in a row are lost, or
    #: ten thousand clients come at once.
    handshake_timeout: float | None = 30.0

    #: What `wrap_socket` is called with besides the connection; None without TLS.
    ssl_args: dict[str, Any] | None = None
    #: Makes a TLS socket of a connection.
    wrap_socket: Callable[..., Any]

    def __init__(
        self,
        listener: Any,
        handle: Callable[..., Any] | None = None,
        backlog: int | None = None,
        spawn: Any = "default",
        *,
        reuse_port: bool | None = None,
        **ssl_args: Any,
    ) -> None:
        super().__init__(listener, handle=handle, spawn=spawn, reuse_port=reuse_port)
        try:
            if ssl_args:
                self._prepare_tls(ssl_args)
            if backlog is not None:
                if not self.closed:
                    raise TypeError(
                        "cannot set the backlog of a socket that listens already: backlog must be "
                        "None where the listener is a socket"
                    )
                self.backlog = backlog
        except BaseException:
            self.close()
            raise

    # ---- listening ----

    @classmethod
    def get_listener(
        cls,
        address: Any,
        backlog: int | None = None,
        family: int | None = None,
        *,
        reuse_port: bool | None = None,
    ) -> _socket.socket:
        """A socket that listens on an address: what start() makes where it was given none.

        address: (host, port), or a path. backlog, reuse_port: the class's by default. family: by
        default the address's. A subclass may have its own.

        Switches: never. Threads: any. Raises OSError.
        """
        listener = cls._bound_socket(_socket.SOCK_STREAM, address, family, reuse_port)
        listener.listen(cls.backlog if backlog is None else backlog)
        return listener

    def init_socket(self) -> None:
        """Listen, if it does not yet."""
        if self.closed:
            self._take_listener(self.get_listener, self.address, self.backlog, self.family)
        elif not self.socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
            self.socket.listen(self.backlog)

    # ---- clients ----

    def do_read(self) -> tuple[_socket.socket, Any]:
        """Wait for a connection: it, and the client's address."""
        found: tuple[_socket.socket, Any] = _wait_until_ready(
            self.socket, _socket.accept_from, _socket.socket
        )
        return found

    def do_close(self, *args: Any) -> None:
        """Close the connection."""
        args[0].close()

    # ---- TLS ----

    @property
    def ssl_enabled(self) -> bool:
        """Does it speak TLS?"""
        return self.ssl_args is not None

    def _prepare_tls(self, options: dict[str, Any]) -> None:
        from ssl import SSLSocket  # OpenSSL, for those who need it

        from fibril import ssl

        if "ssl_context" in options:
            context = options.pop("ssl_context")
        else:
            made_of = {name: options.pop(name) for name in options.keys() & _OF_CONTEXT}
            context = ssl.context_of(options.get("server_side", True), **made_of)
        if not hasattr(context, "wrap_socket"):
            raise TypeError(
                f"cannot speak TLS with ssl_context={context!r}: give a server's ssl.SSLContext, "
                "or leave it out for plain connections"
            )
        if unknown := sorted(options.keys() - _OF_WRAPPING):
            raise TypeError(
                f"{type(self).__name__} got an unexpected keyword argument {unknown[0]!r}. What "
                "has no meaning of its own is for TLS: ssl_context, or one of "
                f"{', '.join(sorted(_OF_CONTEXT | _OF_WRAPPING))}."
            )
        if getattr(context, "sslsocket_class", None) is SSLSocket:
            ssl.cooperate(context)  # else a handshake would keep the thread
        self.ssl_args = {"server_side": True, **options}
        self.wrap_socket = context.wrap_socket

    @property
    def _handle(self) -> Callable[..., Any]:
        return self.handle if self.ssl_args is None else self.wrap_socket_and_handle

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        """Shake hands, and have the handler called with the TLS socket, which is closed then.

        Switches: always. Threads: owner. Raises what the handler does.
        """
        options = self.ssl_args or {}
        try:
            client = self.wrap_socket(
                client_socket, **(options | {"do_handshake_on_connect": False})
            )
        except OSError as error:  # it is gone
            self.handshake_failed(address, error)
            return None
        has_returned = False
        try:
            if options.get("do_handshake_on_connect", True) and not self._shake(client, address):
                return None
            result = self.handle(client, address)
            has_returned = True
            return result
        finally:
            # Not where the handler has closed it, or left a file of it to somebody.
            if has_returned and client.fileno() >= 0 and not getattr(client, "_io_refs", 0):
                say_farewell(client)
            client.close()

    def _shake(self, client: Any, address: Any) -> bool:
        timeout = client.gettimeout()
        try:
            client.settimeout(self.handshake_timeout)
            client.do_handshake()
        except OSError as error:  # TLS's errors are such, and so is that of the time
            self.handshake_failed(address, error)
            return False
        client.settimeout(timeout)
        return True

    def handshake_failed(self, address: Any, error: OSError) -> None:
        """A client has not shaken hands, and is closed: print a line. May be overridden.

        Scanners do that to any server, so it is no traceback. It must not wait.

        Switches: never. Threads: owner.
        """
        where = f"{self.server_host}:{self.server_port}" if self.server_port else self.address
        say(f"{type(self).__name__} {where}: no TLS with {address}: {error}\n")


class DatagramServer(_Bound):
    """A server of datagrams: UDP, and Unix sockets of that kind.

    listener, handle, spawn: as for BaseServer; the handler is called with the bytes of one datagram
    and the sender's address, and answers by sendto(). reuse_port: share the port with others
    (SO_REUSEPORT); the attribute of that name by default.

    Switches: never, as BaseServer; stop() and serve_forever() if they must wait.
    Threads: owner; stop() and close() from any. Raises as BaseServer.

    >>> import fibril
    >>> from fibril import socket
    >>> from fibril.server import DatagramServer
    >>> class Echo(DatagramServer):
    ...     def handle(self, data, address):
    ...         self.sendto(data, address)
    >>> with Echo("127.0.0.1:0") as server:
    ...     server.start()
    ...     client = socket.socket(type=socket.SOCK_DGRAM)
    ...     client.sendto(b"hello", server.address)
    ...     client.recv(100)
    ...     client.close()
    5
    b'hello'
    """

    #: Bytes of a datagram that are read; the rest of a longer one is lost. None is, of IP's.
    packet_bytes_max = 65536

    @classmethod
    def get_listener(
        cls, address: Any, family: int | None = None, *, reuse_port: bool | None = None
    ) -> _socket.socket:
        """A socket that is bound to an address: what start() makes where it was given none.

        Arguments as StreamServer's.

        Switches: never. Threads: any. Raises OSError.
        """
        return cls._bound_socket(_socket.SOCK_DGRAM, address, family, reuse_port)

    def init_socket(self) -> None:
        """Bind a socket, if there is none."""
        if self.closed:
            self._take_listener(self.get_listener, self.address, self.family)

    def do_read(self) -> tuple[bytes, Any]:
        """Wait for a datagram: its bytes, and the sender's address."""
        found: tuple[bytes, Any] = _wait_until_ready(
            self.socket, _socket.socket.recvfrom, self.packet_bytes_max
        )
        return found

    def sendto(self, *args: Any) -> int:
        """Send a datagram: sendto(data, address), or with flags between; how many bytes.

        Switches: if it must wait. Threads: any. Raises OSError.
        """
        return _socket.socket.sendto(self.socket, *args)


def _wait_until_ready(listener: Any, call: Callable[..., Any], argument: Any) -> Any:
    """call(listener, argument), whatever timeout the socket has, and whoever is gone again."""
    while True:
        try:
            return call(listener, argument)
        except BlockingIOError:  # it does not wait by itself
            _core.wait_read(listener.fileno(), None, True)
        except TimeoutError:  # it does so for a while only
            pass
        except OSError as error:
            if error.errno not in _OF_ONE_CLIENT:
                raise


def say_farewell(client: Any) -> None:
    """Send TLS's close_notify, if it goes out at once: who reads to the end sees that it is one.

    client: any socket; one that does not speak TLS, or no longer, is left as it is.

    Switches: never. Threads: owner.
    """
    if hasattr(client, "do_handshake"):
        try:
            client.settimeout(0)
            client.unwrap()
        except (OSError, ValueError):  # it would wait for the client's; or has ended
            pass
