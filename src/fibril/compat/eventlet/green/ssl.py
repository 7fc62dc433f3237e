"""eventlet.green.ssl, served by fibril."""

from __future__ import annotations

import ssl as _stdlib
from typing import Any

from fibril import ssl as _fibril
from fibril.ssl import *  # noqa: F403
from fibril.ssl import SSLContext, SSLSocket
from fibril.ssl import __all__ as _fibril_names

GreenSSLContext, GreenSSLSocket = SSLContext, SSLSocket
_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("__")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})

__all__ = [*_fibril_names, "GreenSSLContext", "GreenSSLSocket"]
__patched__ = ["SSLContext", "SSLSocket", "wrap_socket"]


def wrap_socket(
    sock: Any, keyfile: Any = None, certfile: Any = None, server_side: bool = False, **options: Any
) -> Any:
    """A TLS socket of another one; arguments as the former ssl.wrap_socket's.

    Of connections that a server's socket accepts the handshake is made when they are first used, so
    that a client which makes none is in nobody's way.
    """
    if server_side and not _is_connected(sock):
        options.setdefault("do_handshake_on_connect", False)
    return _fibril.wrap_socket(sock, keyfile, certfile, server_side, **options)


def _is_connected(sock: Any) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
