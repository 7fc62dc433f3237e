"""gevent.select, served by fibril."""

from fibril.select import *  # noqa: F403
from fibril.select import __all__ as __all__
