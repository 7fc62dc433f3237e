"""gevent.greenlet, served by fibril."""

from fibril import Task as Greenlet
from fibril import getcurrent, joinall, killall
from fibril.hub import Waiter

__all__ = ["Greenlet", "Waiter", "getcurrent", "joinall", "killall"]
