"""gevent.select, served by fibril."""

from errno import EBADF

from fibril import get_hub
from fibril.event import Event
from fibril.select import *  # noqa: F403
from fibril.select import __all__ as _fibril_names

__implements__ = ["epoll", "poll", "select"]
__all__ = [*_fibril_names, "EBADF", "Event", "get_hub"]
