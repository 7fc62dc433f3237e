"""gevent.threadpool, served by fibril."""

from fibril import Fiber as RawGreenlet
from fibril import Task as Greenlet
from fibril import get_hub, getcurrent, sleep
from fibril.errors import InvalidThreadUseError
from fibril.event import AsyncResult
from fibril.hub import get_hub_if_exists
from fibril.lock import Semaphore
from fibril.native import get_ident as get_thread_ident
from fibril.native import start_new_thread
from fibril.pool import GroupMappingMixin
from fibril.threadpool import ThreadPool, ThreadPoolExecutor, ThreadResult

__all__ = [
    "AsyncResult",
    "Greenlet",
    "GroupMappingMixin",
    "InvalidThreadUseError",
    "RawGreenlet",
    "Semaphore",
    "ThreadPool",
    "ThreadPoolExecutor",
    "ThreadResult",
    "get_hub",
    "get_hub_if_exists",
    "get_thread_ident",
    "getcurrent",
    "sleep",
    "start_new_thread",
]
