"""gevent.core, served by weft."""

from time import time

from weft.loop import Callback as callback
from weft.loop import Loop as loop
from weft.watcher import READ, WRITE

__all__ = ["READ", "WRITE", "callback", "loop", "time"]
