"""gevent.monkey, served by fibril."""

from fibril.monkey import *  # noqa: F403
from fibril.monkey import __all__ as __all__
