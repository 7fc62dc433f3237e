"""gevent.time, served by fibril."""

from time import *  # noqa: F403

from fibril.time import sleep

__all__ = ["sleep"]
__implements__ = ["sleep"]
