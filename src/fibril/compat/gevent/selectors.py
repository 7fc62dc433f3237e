"""gevent.selectors, served by fibril."""

from fibril.selectors import *  # noqa: F403
from fibril.selectors import DefaultSelector as GeventSelector
from fibril.selectors import __all__ as _fibril_names

__all__ = [*_fibril_names, "GeventSelector"]
