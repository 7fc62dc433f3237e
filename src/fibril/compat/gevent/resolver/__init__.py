"""gevent.resolver, served by fibril."""

from fibril._io.resolver import Resolver as AbstractResolver

__all__ = ["AbstractResolver"]
