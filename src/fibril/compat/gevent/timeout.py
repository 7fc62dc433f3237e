"""gevent.timeout, served by fibril."""

from fibril import get_hub, getcurrent
from fibril.timeout import Timeout, with_timeout

__all__ = ["Timeout", "get_hub", "getcurrent", "with_timeout"]
