"""gevent.resolver.ares, served by fibril: names are looked up by the system here, too."""

from fibril._io.resolver import SystemResolver as Resolver

__all__ = ["Resolver"]
