"""gevent.resolver_thread, served by fibril: the older name of gevent.resolver.thread."""

from fibril._io.resolver import Resolver

__all__ = ["Resolver"]
