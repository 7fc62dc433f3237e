"""gevent.selectors, served by weft."""

from weft.selectors import *  # noqa: F403
from weft.selectors import DefaultSelector as GeventSelector
from weft.selectors import __all__ as _weft_names

__all__ = [*_weft_names, "GeventSelector"]
