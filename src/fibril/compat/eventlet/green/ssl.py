"""eventlet.green.ssl, served by fibril."""

import ssl as _stdlib

from fibril.ssl import *  # noqa: F403
from fibril.ssl import SSLContext, SSLSocket
from fibril.ssl import __all__ as _fibril_names

GreenSSLContext, GreenSSLSocket = SSLContext, SSLSocket
_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("__")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})

__all__ = [*_fibril_names, "GreenSSLContext", "GreenSSLSocket"]
__patched__ = ["SSLContext", "SSLSocket", "wrap_socket"]
