"""fibril: coroutines that need no async. Write plain blocking Python, run a million of it at once.

Public names only, no logic but that modules are imported when they are first used: `import fibril`
gives fibril.pool as well. Importing fibril changes nothing in the standard library; fibril.monkey
does, when asked.

For pytest, which else would complain of a plugin's package that it finds imported, by `fibril run`
for example: PYTEST_DONT_REWRITE.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from fibril import _supported  # noqa: F401  # first: it refuses where the core cannot run
from fibril._core import Fiber, Task, getcurrent, sleep, spawn, spawn_later
from fibril._hub.fork import fork, reinit
from fibril._hub.stack_size import on_main_stack, stack_size
from fibril._hub.waiting import iwait, wait
from fibril.drivers import offload_calls
from fibril.errors import FiberError, GreenletExit, LoopExit
from fibril.hub import get_hub, idle
from fibril.libraries import install_finder as _install_finder
from fibril.signal import signal_handler
from fibril.task import joinall, kill, killall, spawn_raw
from fibril.threadpool import offload
from fibril.timeout import Timeout, with_timeout

_install_finder()

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
    "offload_calls",
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

#: The public modules.
_MODULES = frozenset(
    {
        *(
            "backdoor",
            "baseserver",
            "compat",
            "config",
            "drivers",
            "errors",
            "event",
            "events",
            "hub",
            "libraries",
            "local",
            "lock",
            "monkey",
        ),
        *("native", "os", "pool", "pywsgi", "queue", "select", "selectors", "server", "signal"),
        *("socket", "ssl", "subprocess", "task", "testing", "thread", "threadpool", "time"),
        *("timeout", "util"),
    }
)


if TYPE_CHECKING:  # what __getattr__ gives: the same names
    from fibril import backdoor as backdoor
    from fibril import baseserver as baseserver
    from fibril import compat as compat
    from fibril import config as config
    from fibril import drivers as drivers
    from fibril import errors as errors
    from fibril import event as event
    from fibril import events as events
    from fibril import hub as hub
    from fibril import libraries as libraries
    from fibril import local as local
    from fibril import lock as lock
    from fibril import monkey as monkey
    from fibril import native as native
    from fibril import os as os
    from fibril import pool as pool
    from fibril import pywsgi as pywsgi
    from fibril import queue as queue
    from fibril import select as select
    from fibril import selectors as selectors
    from fibril import server as server
    from fibril import signal as signal
    from fibril import socket as socket
    from fibril import ssl as ssl
    from fibril import subprocess as subprocess
    from fibril import task as task
    from fibril import testing as testing
    from fibril import thread as thread
    from fibril import threadpool as threadpool
    from fibril import time as time
    from fibril import timeout as timeout
    from fibril import util as util
else:

    def __getattr__(name: str) -> ModuleType:
        if name in _MODULES:
            from importlib import import_module

            return import_module(f"fibril.{name}")
        raise AttributeError(f"module 'fibril' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])


if "fibril_pytest" in sys.modules:  # pytest's session looks at tests from now on
    sys.modules["fibril_pytest"].begin()
