"""gevent's names, served by fibril: `Greenlet` is `fibril.Task`."""

from importlib import import_module
from importlib.util import find_spec
from sys import getswitchinterval, setswitchinterval
from typing import Any

import fibril
from fibril import (
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
from fibril import Task as Greenlet
from fibril.compat import VERSIONS as _VERSIONS
from fibril.config import config

__version__ = _VERSIONS["gevent"]
# gevent's own is at 20.0 for ever; programs compare the text.
version_info = (26, 9, 0, "final", 0)
__fibril_version__ = fibril.__version__

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
    """gevent.queue and its like are there whatever the program has imported."""
    if find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: fibril does not have it (yet)"
    )


# With gevent these are there after `import gevent` alone, and programs rely on it.
from gevent import event, exceptions, greenlet, hub, timeout  # noqa: E402, F401
