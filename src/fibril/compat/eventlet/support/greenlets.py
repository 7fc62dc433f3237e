"""eventlet.support.greenlets, served by fibril."""

from fibril import Fiber as greenlet
from fibril import GreenletExit, getcurrent

__all__ = ["GreenletExit", "getcurrent", "greenlet"]
