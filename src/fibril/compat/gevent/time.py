"""gevent.time, served by fibril."""

from fibril.time import sleep

__all__ = ["sleep"]
