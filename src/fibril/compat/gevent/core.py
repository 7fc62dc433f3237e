"""gevent.core, served by fibril."""

from time import time

from fibril.loop import Callback as callback
from fibril.loop import Loop as loop
from fibril.watcher import READ, WRITE

__all__ = ["READ", "WRITE", "callback", "loop", "time"]
