"""gevent.hub, served by weft."""

from weft import kill, spawn
from weft.errors import GreenletExit, LoopExit
from weft.hub import Hub, get_hub, getcurrent, sleep

__all__ = ["GreenletExit", "Hub", "LoopExit", "get_hub", "getcurrent", "kill", "sleep", "spawn"]
