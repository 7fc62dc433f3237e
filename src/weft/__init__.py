"""weft: coroutines that need no async. Write plain blocking Python, run a million of it at once.

Public names only, no logic. Importing weft changes nothing in the standard library; weft.monkey
does, when asked.
"""

from weft import supported  # noqa: F401  # first: it refuses where the core cannot run
from weft._core import Fiber, Task, getcurrent, sleep, spawn, spawn_later
from weft.errors import FiberError, GreenletExit, LoopExit
from weft.hub import get_hub, idle
from weft.process import fork, reinit
from weft.signal import signal_handler
from weft.stack import stack_size
from weft.task import joinall, kill, killall, spawn_raw
from weft.threadpool import offload
from weft.timeout import Timeout, with_timeout
from weft.waiting import iwait, wait

__version__ = "0.1.0.dev0"

__all__ = [
    "Fiber",
    "FiberError",
    "GreenletExit",
    "LoopExit",
    "Task",
    "Timeout",
    "fork",
    "get_hub",
    "getcurrent",
    "idle",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "offload",
    "reinit",
    "signal_handler",
    "sleep",
    "spawn",
    "spawn_later",
    "spawn_raw",
    "stack_size",
    "wait",
    "with_timeout",
]
