"""gevent.local, served by weft."""

from weft.local import local

__all__ = ["local"]
