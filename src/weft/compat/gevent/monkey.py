"""gevent.monkey, served by weft."""

from weft.monkey import *  # noqa: F403
from weft.monkey import __all__ as __all__
