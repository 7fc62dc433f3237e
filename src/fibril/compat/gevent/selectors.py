"""gevent.selectors, served by fibril."""

from fibril import get_hub, sleep
from fibril.event import Event
from fibril.selectors import *  # noqa: F403
from fibril.selectors import DefaultSelector as GeventSelector
from fibril.selectors import __all__ as _fibril_names

__implements__ = ["DefaultSelector"]
__all__ = [*_fibril_names, "Event", "GeventSelector", "get_hub", "sleep"]
