"""fibril: coroutines that need no async. Write plain blocking Python, run a million of it at once.

Public names only, no logic. Importing fibril changes nothing in the standard library; fibril.monkey
does, when asked.
"""

from fibril import supported  # noqa: F401  # first: it refuses where the core cannot run
from fibril._core import Fiber, Task, getcurrent, sleep, spawn, spawn_later
from fibril.errors import FiberError, GreenletExit, LoopExit
from fibril.hub import get_hub, idle
from fibril.libraries import watch as _watch_libraries
from fibril.process import fork, reinit
from fibril.signal import signal_handler
from fibril.stack import on_main_stack, stack_size
from fibril.task import joinall, kill, killall, spawn_raw
from fibril.threadpool import offload
from fibril.timeout import Timeout, with_timeout
from fibril.waiting import iwait, wait

_watch_libraries()

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
    "on_main_stack",
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
