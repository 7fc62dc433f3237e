"""gevent.resolver_ares, served by fibril: the older name of gevent.resolver.ares."""

from fibril._io.resolver import SystemResolver as Resolver

__all__ = ["Resolver"]
