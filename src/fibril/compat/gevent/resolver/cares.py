"""gevent.resolver.cares, served by fibril: c-ares itself, of which nothing is here."""

__all__: list[str] = []
