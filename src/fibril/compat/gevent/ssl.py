"""gevent.ssl, served by fibril."""

import ssl as _stdlib
from socket import AF_INET

from fibril import ssl as _fibril
from fibril.socket import _GLOBAL_DEFAULT_TIMEOUT
from fibril.ssl import *  # noqa: F403
from fibril.ssl import __all__ as _fibril_names

timeout_default = _GLOBAL_DEFAULT_TIMEOUT
__implements__ = ["SSLContext", "SSLSocket", "get_server_certificate"]
if hasattr(_stdlib, "wrap_socket"):  # until 3.11
    __implements__ += ["wrap_socket"]
# gevent's module has the private names of the standard library's, too.
_PRIVATE = [name for name in vars(_stdlib) if name.startswith("_") and name[1] != "_"]
globals().update({name: getattr(_fibril, name, vars(_stdlib)[name]) for name in _PRIVATE})
__all__ = [*_fibril_names, *_PRIVATE, "AF_INET", "timeout_default"]
