"""gevent's names, served by weft: `Greenlet` is `weft.Task`."""

from sys import getswitchinterval, setswitchinterval
from typing import Any

import weft
from weft import (
    GreenletExit,
    Timeout,
    fork,
    get_hub,
    getcurrent,
    idle,
    iwait,
    joinall,
    kill,
    killall,
    reinit,
    signal_handler,
    sleep,
    spawn,
    spawn_later,
    spawn_raw,
    wait,
    with_timeout,
)
from weft import Task as Greenlet
from weft.compat import VERSIONS as _VERSIONS
from weft.config import config

__version__ = _VERSIONS["gevent"]
# gevent's own is at 20.0 for ever; programs compare the text.
version_info = (26, 9, 0, "final", 0)
__weft_version__ = weft.__version__

__all__ = [
    "Greenlet",
    "GreenletExit",
    "Timeout",
    "config",
    "fork",
    "get_hub",
    "getcurrent",
    "getswitchinterval",
    "idle",
    "iwait",
    "joinall",
    "kill",
    "killall",
    "reinit",
    "setswitchinterval",
    "signal_handler",
    "sleep",
    "spawn",
    "spawn_later",
    "spawn_raw",
    "wait",
    "with_timeout",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: weft does not have it (yet)"
    )


# With gevent these are there after `import gevent` alone, and programs rely on it.
from gevent import event, exceptions, greenlet, hub, timeout  # noqa: E402, F401
