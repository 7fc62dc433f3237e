"""gevent.core, served by fibril."""

from time import time

from fibril._hub.loop import Callback as callback
from fibril._hub.loop import Loop as loop
from fibril._hub.watcher import READ, WRITE

__all__ = ["READ", "WRITE", "callback", "loop", "time"]
