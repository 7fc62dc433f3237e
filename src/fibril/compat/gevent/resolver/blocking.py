"""gevent.resolver.blocking, served by fibril."""

from fibril._io.resolver import BlockingResolver as Resolver

__all__ = ["Resolver"]
