"""gevent.socket, served by fibril."""

from errno import (
    EAGAIN,
    EALREADY,
    ECONNREFUSED,
    EHOSTUNREACH,
    EINPROGRESS,
    EINVAL,
    EISCONN,
)
from os import strerror

from fibril import Timeout, get_hub
from fibril.socket import *  # noqa: F403
from fibril.socket import _GLOBAL_DEFAULT_TIMEOUT, socket
from fibril.socket import __all__ as _fibril_names

SocketType = socket
timeout_default = _GLOBAL_DEFAULT_TIMEOUT
__implements__ = [
    "SocketType",
    "create_connection",
    "fromfd",
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "socket",
    "socketpair",
]
__all__ = [
    *_fibril_names,
    "EAGAIN",
    "EALREADY",
    "ECONNREFUSED",
    "EHOSTUNREACH",
    "EINPROGRESS",
    "EINVAL",
    "EISCONN",
    "Timeout",
    "get_hub",
    "strerror",
    "timeout_default",
]
