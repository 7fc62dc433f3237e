"""gevent.core, served by fibril."""

from time import time

from gevent._interfaces import ICallback, ILoop

from fibril._hub.loop import Callback as callback
from fibril._hub.loop import Loop as loop
from fibril._hub.loop import backends as embeddable_backends
from fibril._hub.loop import backends as recommended_backends
from fibril._hub.loop import backends as supported_backends
from fibril._hub.loop import version as get_header_version
from fibril._hub.loop import version as get_version
from fibril._hub.watch_child import ChildWatcher as child
from fibril._hub.watch_signal import SignalWatcher as signal
from fibril._hub.watch_stat import StatWatcher as stat
from fibril._hub.watch_turn import AsyncWatcher as async_
from fibril._hub.watch_turn import CheckWatcher as check
from fibril._hub.watch_turn import ForkWatcher as fork
from fibril._hub.watch_turn import IdleWatcher as idle
from fibril._hub.watch_turn import PrepareWatcher as prepare
from fibril._hub.watcher import READ, WRITE
from fibril._hub.watcher import IOWatcher as io
from fibril._hub.watcher import TimerWatcher as timer
from fibril._hub.watcher import Watcher as watcher
from fibril.config import config
from fibril.errors import HubDestroyed

NONE, READWRITE = 0, READ | WRITE
MINPRI, MAXPRI = loop.MINPRI, loop.MAXPRI
BACKEND_EPOLL = 4  # what loop.backend_int says

globals()["async"] = async_  # gevent's name from before the word was Python's

__all__ = [
    "BACKEND_EPOLL",
    "HubDestroyed",
    "ICallback",
    "ILoop",
    "MAXPRI",
    "MINPRI",
    "NONE",
    "READ",
    "READWRITE",
    "WRITE",
    "async_",
    "callback",
    "check",
    "child",
    "config",
    "embeddable_backends",
    "fork",
    "get_header_version",
    "get_version",
    "idle",
    "io",
    "loop",
    "prepare",
    "recommended_backends",
    "signal",
    "stat",
    "supported_backends",
    "time",
    "timer",
    "watcher",
]
