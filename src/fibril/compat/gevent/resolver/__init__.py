"""gevent.resolver, served by fibril."""

__all__: list[str] = []
