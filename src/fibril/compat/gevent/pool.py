"""gevent.pool, served by fibril."""

from fibril import GreenletExit, Timeout, getcurrent, joinall
from fibril import Task as Greenlet
from fibril.event import Event
from fibril.lock import DummySemaphore, Semaphore
from fibril.pool import Group, GroupMappingMixin, IMap, IMapUnordered, Pool, PoolFull
from fibril.queue import Full as QueueFull

__all__ = [
    "DummySemaphore",
    "Event",
    "Greenlet",
    "GreenletExit",
    "Group",
    "GroupMappingMixin",
    "IMap",
    "IMapUnordered",
    "Pool",
    "PoolFull",
    "QueueFull",
    "Semaphore",
    "Timeout",
    "getcurrent",
    "joinall",
]
