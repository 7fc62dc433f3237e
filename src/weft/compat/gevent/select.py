"""gevent.select, served by weft."""

from weft.select import *  # noqa: F403
from weft.select import __all__ as __all__
