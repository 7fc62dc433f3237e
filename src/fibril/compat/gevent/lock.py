"""gevent.lock, served by fibril."""

from fibril import getcurrent
from fibril.lock import BoundedSemaphore, DummySemaphore, RLock, Semaphore

__all__ = ["BoundedSemaphore", "DummySemaphore", "RLock", "Semaphore", "getcurrent"]
