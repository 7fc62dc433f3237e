"""eventlet.green.socket, served by fibril: its `socket` is a GreenSocket."""

from __future__ import annotations

import socket as _stdlib
from typing import Any

from fibril import socket as _fibril
from fibril.socket import *  # noqa: F403
from fibril.socket import _GLOBAL_DEFAULT_TIMEOUT
from fibril.socket import __all__ as _fibril_names

from ..greenio import GreenSocket

socket = SocketType = GreenSocket
_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("_")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})

__all__ = [*_fibril_names, "_GLOBAL_DEFAULT_TIMEOUT"]
__patched__ = ["create_connection", "fromfd", "socket", "socketpair"]


def socketpair(*args: Any, **options: Any) -> tuple[GreenSocket, GreenSocket]:
    """Two sockets that are connected to each other."""
    one, other = _fibril.socketpair(*args, **options)
    return GreenSocket(one), GreenSocket(other)


def fromfd(*args: Any, **options: Any) -> GreenSocket:
    """A socket of a duplicate of a descriptor."""
    return GreenSocket(_fibril.fromfd(*args, **options))


def create_connection(*args: Any, **options: Any) -> GreenSocket:
    """A socket that is connected to (host, port)."""
    return GreenSocket(_fibril.create_connection(*args, **options))
