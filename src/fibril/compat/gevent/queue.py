"""gevent.queue, served by fibril."""

from fibril import getcurrent
from fibril.hub import Waiter
from fibril.queue import *  # noqa: F403
from fibril.queue import __all__ as _fibril_names

__implements__ = ["LifoQueue", "PriorityQueue", "Queue", "SimpleQueue"]
__all__ = [*_fibril_names, "Waiter", "getcurrent"]
