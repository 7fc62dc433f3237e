"""gevent._imap, served by fibril."""

from fibril import Task as Greenlet
from fibril.lock import Semaphore
from fibril.pool import IMap, IMapUnordered
from fibril.queue import UnboundQueue

__all__ = ["Greenlet", "IMap", "IMapUnordered", "Semaphore", "UnboundQueue"]
