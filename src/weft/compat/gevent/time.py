"""gevent.time, served by weft."""

from weft.time import sleep

__all__ = ["sleep"]
