"""eventlet's names, served by fibril: a GreenThread is a Task, the hub is fibril's.

Unlike gevent's, eventlet's functions differ from fibril's in what they do, so the modules here have
behaviour: what eventlet's documentation says of each name.
"""

from typing import Any

import fibril
from fibril import getcurrent
from fibril.compat import VERSIONS as _VERSIONS

from . import greenthread as greenthread
from . import patcher as patcher
from . import queue as queue
from . import semaphore as semaphore
from . import support as support
from . import timeout as timeout
from .convenience import StopServe, connect, listen, serve, wrap_ssl
from .event import Event
from .greenpool import GreenPile, GreenPool
from .greenthread import kill, sleep, spawn, spawn_after, spawn_after_local, spawn_n
from .patcher import import_patched, monkey_patch
from .queue import Queue
from .semaphore import BoundedSemaphore, CappedSemaphore, Semaphore
from .timeout import Timeout, is_timeout, with_timeout, wrap_is_timeout

__version__ = _VERSIONS["eventlet"]
__fibril_version__ = fibril.__version__

__all__ = [
    "BoundedSemaphore",
    "CappedSemaphore",
    "Event",
    "GreenPile",
    "GreenPool",
    "Queue",
    "Semaphore",
    "StopServe",
    "Timeout",
    "connect",
    "getcurrent",
    "import_patched",
    "is_timeout",
    "kill",
    "listen",
    "monkey_patch",
    "serve",
    "sleep",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_n",
    "with_timeout",
    "wrap_is_timeout",
    "wrap_ssl",
]


class EventletDeprecationWarning(Warning):
    """eventlet warns at each import that it is given up. fibril does not, and is not."""


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: fibril does not have it (yet)"
    )


# With eventlet these are there after `import eventlet` alone, and programs rely on it.
from . import convenience, event, green, greenio, greenpool, hubs  # noqa: E402, F401
