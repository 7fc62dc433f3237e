"""gevent.ares, served by fibril: the older name of gevent.resolver.cares, which is empty here."""

__all__: list[str] = []
