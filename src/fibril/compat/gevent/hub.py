"""gevent.hub, served by fibril."""

from threading import main_thread as _main_thread

from fibril import Fiber as RawGreenlet
from fibril import FiberError as GreenletError
from fibril import iwait, kill, reinit, spawn, spawn_raw, wait
from fibril.config import config as GEVENT_CONFIG  # gevent's name
from fibril.errors import GreenletExit, HubDestroyed, LoopExit
from fibril.hub import (
    Hub,
    Waiter,
    get_hub,
    get_hub_class,
    get_loop,
    getcurrent,
    idle,
    set_default_hub_class,
    set_hub,
    signal,
    sleep,
)
from fibril.native import get_ident as get_thread_ident

MAIN_THREAD_IDENT = _main_thread().ident

__all__ = [
    "GEVENT_CONFIG",
    "MAIN_THREAD_IDENT",
    "GreenletError",
    "GreenletExit",
    "Hub",
    "HubDestroyed",
    "LoopExit",
    "RawGreenlet",
    "Waiter",
    "get_hub",
    "get_hub_class",
    "get_loop",
    "get_thread_ident",
    "getcurrent",
    "idle",
    "iwait",
    "kill",
    "reinit",
    "set_default_hub_class",
    "set_hub",
    "signal",
    "sleep",
    "spawn",
    "spawn_raw",
    "wait",
]
