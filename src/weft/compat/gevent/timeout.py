"""gevent.timeout, served by weft."""

from weft.timeout import Timeout, with_timeout

__all__ = ["Timeout", "with_timeout"]
