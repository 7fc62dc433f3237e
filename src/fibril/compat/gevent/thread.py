"""gevent.thread, served by fibril."""

from fibril.thread import *  # noqa: F403
from fibril.thread import __all__ as __all__
