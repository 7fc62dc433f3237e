"""gevent.hub, served by weft."""

from weft import kill, spawn, spawn_raw
from weft.errors import GreenletExit, LoopExit
from weft.hub import Hub, get_hub, getcurrent, idle, sleep

__all__ = [
    "GreenletExit",
    "Hub",
    "LoopExit",
    "get_hub",
    "getcurrent",
    "idle",
    "kill",
    "sleep",
    "spawn",
    "spawn_raw",
]
