"""gevent.lock, served by weft."""

from weft.lock import BoundedSemaphore, DummySemaphore, RLock, Semaphore

__all__ = ["BoundedSemaphore", "DummySemaphore", "RLock", "Semaphore"]
