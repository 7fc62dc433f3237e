"""gevent.resolver.dnspython, served by fibril: names are looked up by the system here, too."""

from fibril._io.resolver import Resolver

__all__ = ["Resolver"]
