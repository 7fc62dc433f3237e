"""The standard library's `ssl`, with TLS sockets that let other tasks run while they wait.

The idea: the C object that speaks TLS reads its socket's C-level timeout, and with timeout 0 it
raises SSLWantReadError instead of waiting. So while a TLS socket is in use its C-level timeout is
0, the one its user set is kept beside it, and each operation is tried, waits for what it wants, and
is tried again: in C for what is read and written (csrc/python/io/tls.c), here for the rest.

Invariants: the standard library's own `SSLContext` is never replaced, nor changed: ours only says
which sockets it makes. A socket has `_fibril_timeout` in its `__dict__` if and only if its C-level
timeout is 0 for this reason; so one that was wrapped before a patch is simply one that has not been
used yet. `_fibril_record` is what OpenSSL has encrypted and could not send whole.
The methods must not use `super()` without arguments: `fibril.monkey` puts them on `ssl.SSLSocket`.
Do not add: anything that does not wait.
"""

from __future__ import annotations

import os
import ssl as stdlib
from _socket import socket as _native
from collections.abc import Callable
from ssl import *  # noqa: F403
from ssl import (
    CERT_NONE,
    PROTOCOL_TLS_CLIENT,
    PROTOCOL_TLS_SERVER,
    SSLWantReadError,
    SSLWantWriteError,
)
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from fibril import _core
from fibril import socket as _socket
from fibril._io.names import reading
from fibril._io.turn import Turn
from fibril.timeout import Deadline

if TYPE_CHECKING:
    import socket as plain

    from _typeshed import WriteableBuffer

_EXTRA = ["cooperate", "wrap_socket"]  # the second was the standard library's until 3.11
_PUBLIC = {
    name
    for name, value in vars(stdlib).items()
    if not name.startswith("_") and not isinstance(value, ModuleType)
}
__all__ = [*_PUBLIC.union(_EXTRA)]

_P = ParamSpec("_P")
_Context = TypeVar("_Context", bound=stdlib.SSLContext)

_stdlib = stdlib.SSLSocket
_unwrap, _shutdown = _stdlib.unwrap, _stdlib.shutdown


def _take_over(sock: stdlib.SSLSocket) -> None:
    """Let the C level never wait, and keep the timeout that the user set."""
    timeout = _native.gettimeout(sock)
    if timeout != 0:
        _native.settimeout(sock, 0)
        vars(sock)["_fibril_timeout"] = timeout


_methods = _core.tls_methods(_take_over)


def _give_back(sock: stdlib.SSLSocket) -> None:
    """Let the C-level timeout be what the user set: TLS has ended."""
    if "_fibril_timeout" in vars(sock):
        _native.settimeout(sock, vars(sock).pop("_fibril_timeout"))


def _repeat(
    sock: stdlib.SSLSocket, what: str, timeout: float | None, call: Callable[..., Any], *args: Any
) -> Any:
    """call(*args) until it does not ask to wait; `what` is named when the time is over."""
    deadline = Deadline(timeout)
    while True:
        # Each time: while we waited, another task may have set a timeout, and so the C level's.
        _take_over(sock)
        try:
            return call(*args)
        except SSLWantReadError:
            wait = _core.wait_read
            if timeout == 0:
                raise
        except SSLWantWriteError:
            wait = _core.wait_write
            if timeout == 0:
                raise
        if not wait(sock.fileno(), deadline.remaining_s(), True):
            raise TimeoutError(f"The {what} operation timed out")


def _shake(engine: Any) -> None:
    """A step of a handshake, in turn with the thread's others.

    It keeps the thread for as long as a hundred messages, and a thousand clients may come at once.
    """
    hub = _core.get_hub()
    turn = vars(hub).get("handshake_turn")
    if turn is None:
        turn = vars(hub)["handshake_turn"] = Turn(hub)
    turn.take()
    engine.do_handshake()


def _forget_turn() -> None:
    """In a forked child: whoever had the turn stayed behind with those in line."""
    hub = _core.get_hub_if_exists()
    if hub is not None:
        vars(hub).pop("handshake_turn", None)


os.register_at_fork(after_in_child=_forget_turn)


class SSLSocket(stdlib.SSLSocket, _socket.socket):
    """A TLS socket of the standard library whose waiting lets other tasks run.

    All of `ssl.SSLSocket` is there; each method waits as long as the socket's timeout says and then
    raises TimeoutError; with timeout 0 it raises SSLWantReadError or SSLWantWriteError.

    Switches: if it must wait. Threads: any.
    """

    def gettimeout(self) -> float | None:
        """Seconds that an operation may wait; None for ever."""
        if "_fibril_timeout" in vars(self):
            return vars(self)["_fibril_timeout"]  # type: ignore[no-any-return]
        return _native.gettimeout(self)

    def settimeout(self, value: float | None, /) -> None:
        """Set the seconds that an operation may wait; None for ever, 0 not at all."""
        _native.settimeout(self, value)
        vars(self).pop("_fibril_timeout", None)

    def setblocking(self, flag: bool, /) -> None:
        """settimeout(None) or settimeout(0)."""
        self.settimeout(None if flag else 0)

    def getblocking(self) -> bool:
        """Whether operations wait."""
        return self.gettimeout() != 0

    timeout = property(gettimeout, doc="The seconds that an operation may wait.")

    def do_handshake(self, block: bool = False) -> None:
        """Agree on keys with the peer; `block` waits for it whatever the timeout."""
        self._check_connected()  # type: ignore[attr-defined]
        timeout = self.gettimeout()
        if timeout == 0 and block:
            timeout = None
        _repeat(self, "handshake", timeout, _shake, self._sslobj)  # type: ignore[attr-defined]

    if TYPE_CHECKING:  # the standard library's says nothing of the number

        @overload  # type: ignore[override]
        def read(self, len: int = 1024, buffer: None = None) -> bytes: ...

        @overload
        def read(self, len: int, buffer: WriteableBuffer) -> int: ...

        def read(self, len: int = 1024, buffer: Any = None) -> Any: ...

    else:
        read = _methods["read"]
        recv = _methods["recv"]
        recv_into = _methods["recv_into"]
        write = _methods["write"]
        send = _methods["send"]
        sendall = _methods["sendall"]

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file; the number of bytes. Through TLS it is read and sent piece by piece."""
        if self._sslobj is None:  # type: ignore[attr-defined]
            return super(_stdlib, self).sendfile(file, offset, count)
        return int(self._sendfile_use_send(file, offset, count))  # type: ignore[attr-defined]

    def unwrap(self) -> _socket.socket:
        """End TLS with the peer's consent; the socket goes on in clear text."""
        if "_fibril_record" in vars(self):  # the farewell comes behind it
            self.sendall(b"")
        plain: _socket.socket = _repeat(self, "read", self.gettimeout(), _unwrap, self)
        _give_back(self)
        return plain

    def shutdown(self, how: int) -> None:
        """End one or both directions without TLS's farewell."""
        _shutdown(self, how)
        _give_back(self)

    def detach(self) -> int:
        """Give the descriptor away, in the mode that the user set."""
        _give_back(self)
        return super(_stdlib, self).detach()


class _AnyContext(type):
    """One of the standard library is as good where the program is patched."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, stdlib.SSLContext)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, stdlib.SSLContext)


class SSLContext(stdlib.SSLContext, metaclass=_AnyContext):
    """The standard library's `ssl.SSLContext`, whose sockets let other tasks run while they wait.

    Switches: never; its `wrap_socket` if it must wait. Threads: any.
    """

    sslsocket_class = SSLSocket

    if TYPE_CHECKING:

        def wrap_socket(
            self,
            sock: plain.socket,
            server_side: bool = False,
            do_handshake_on_connect: bool = True,
            suppress_ragged_eofs: bool = True,
            server_hostname: str | bytes | None = None,
            session: stdlib.SSLSession | None = None,
        ) -> SSLSocket: ...


def cooperate(context: _Context) -> _Context:
    """Have a context wrap sockets as fibril's `SSLSocket`, without any patch; returns the context.

    Switches: never. Threads: any.
    """
    context.sslsocket_class = SSLSocket
    return context


def context_of(
    server_side: bool,
    keyfile: Any = None,
    certfile: Any = None,
    *,
    cert_reqs: stdlib.VerifyMode = CERT_NONE,
    ssl_version: int | None = None,
    ca_certs: Any = None,
    ciphers: str | None = None,
) -> SSLContext:
    """A context made of what `wrap_socket` takes.

    Switches: never. Threads: any. Raises ValueError where a certificate is missing.
    """
    if certfile is None and (server_side or keyfile is not None):
        raise ValueError("cannot wrap a server's socket, or use a key, without a certfile")
    usual = PROTOCOL_TLS_SERVER if server_side else PROTOCOL_TLS_CLIENT
    context = SSLContext(usual if ssl_version is None else ssl_version)
    context.check_hostname = False
    context.verify_mode = cert_reqs
    if ca_certs is not None:
        context.load_verify_locations(ca_certs)
    if certfile is not None:
        context.load_cert_chain(certfile, keyfile)
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


def wrap_socket(
    sock: Any,
    keyfile: Any = None,
    certfile: Any = None,
    server_side: bool = False,
    cert_reqs: stdlib.VerifyMode = CERT_NONE,
    ssl_version: int | None = None,
    ca_certs: Any = None,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    ciphers: str | None = None,
) -> Any:
    """A TLS socket from a plain one, without asking whether the peer is whom we wanted.

    For programs that are that old; others make a context. keyfile, certfile, ca_certs: paths. The
    others are as for `SSLContext.wrap_socket`.

    Switches: if it must wait. Threads: any. Raises ValueError where a certificate is missing.
    """
    context = context_of(
        server_side,
        keyfile,
        certfile,
        cert_reqs=cert_reqs,
        ssl_version=ssl_version,
        ca_certs=ca_certs,
        ciphers=ciphers,
    )
    return context.wrap_socket(
        sock,
        server_side,
        do_handshake_on_connect=do_handshake_on_connect,
        suppress_ragged_eofs=suppress_ragged_eofs,
    )


@overload
def _with_our_names(function: Callable[_P, stdlib.SSLContext]) -> Callable[_P, SSLContext]: ...


@overload
def _with_our_names(function: Callable[_P, str]) -> Callable[_P, str]: ...


def _with_our_names(function: Any) -> Any:
    """A function of the standard library that finds our classes where it looks for its own."""
    return reading(_names, function)


_names: dict[str, Any] = {
    **vars(stdlib),
    "SSLContext": SSLContext,
    "SSLSocket": SSLSocket,
    "create_connection": _socket.create_connection,
}
create_default_context = _with_our_names(stdlib.create_default_context)
_create_unverified_context = _with_our_names(stdlib._create_unverified_context)
_create_default_https_context = create_default_context
_create_stdlib_context = _create_unverified_context
_names["_create_stdlib_context"] = _create_stdlib_context
get_server_certificate = _with_our_names(stdlib.get_server_certificate)
