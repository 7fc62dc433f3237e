"""gevent.resolver.thread, served by fibril."""

from fibril import get_hub
from fibril._io.resolver import Resolver

__all__ = ["Resolver", "get_hub"]
