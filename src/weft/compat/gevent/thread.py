"""gevent.thread, served by weft."""

from weft.thread import *  # noqa: F403
from weft.thread import __all__ as __all__
