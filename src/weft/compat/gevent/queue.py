"""gevent.queue, served by weft."""

from weft.queue import *  # noqa: F403
from weft.queue import __all__ as __all__
