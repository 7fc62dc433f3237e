"""gevent.greenlet, served by weft."""

from weft import Task as Greenlet
from weft import joinall, killall

__all__ = ["Greenlet", "joinall", "killall"]
