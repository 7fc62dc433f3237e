"""gevent.queue, served by fibril."""

from fibril.queue import *  # noqa: F403
from fibril.queue import __all__ as __all__
