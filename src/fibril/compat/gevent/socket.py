"""gevent.socket, served by fibril."""

from fibril.socket import *  # noqa: F403
from fibril.socket import __all__ as __all__
