"""gevent.socket, served by weft."""

from weft.socket import *  # noqa: F403
from weft.socket import __all__ as __all__
