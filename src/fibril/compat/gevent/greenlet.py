"""gevent.greenlet, served by fibril."""

from fibril import Task as Greenlet
from fibril import joinall, killall

__all__ = ["Greenlet", "joinall", "killall"]
