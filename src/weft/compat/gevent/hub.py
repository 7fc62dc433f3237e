"""gevent.hub, served by weft."""

from weft import kill, reinit, spawn, spawn_raw
from weft.errors import GreenletExit, LoopExit
from weft.hub import (
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
