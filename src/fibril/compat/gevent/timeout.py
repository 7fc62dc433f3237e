"""gevent.timeout, served by fibril."""

from fibril.timeout import Timeout, with_timeout

__all__ = ["Timeout", "with_timeout"]
