"""gevent.hub, served by fibril."""

from fibril import kill, reinit, spawn, spawn_raw
from fibril.errors import GreenletExit, LoopExit
from fibril.hub import (
    Hub,
    Waiter,
    get_hub,
    get_hub_class,
    getcurrent,
    idle,
    set_default_hub_class,
    signal,
    sleep,
)

__all__ = [
    "GreenletExit",
    "Hub",
    "LoopExit",
    "Waiter",
    "get_hub",
    "get_hub_class",
    "getcurrent",
    "idle",
    "kill",
    "reinit",
    "set_default_hub_class",
    "signal",
    "sleep",
    "spawn",
    "spawn_raw",
]
