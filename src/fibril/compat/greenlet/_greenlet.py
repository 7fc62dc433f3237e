"""What greenlet's own native module has: the names of the package, and a few more for its tests.

Importing this gives fibril's type and exceptions greenlet's names, for good: see
csrc/python/alias.c.
"""

import sys
from typing import Any

from fibril import native
from fibril._core import Fiber as greenlet
from fibril._core import (
    getcurrent,
    gettrace,
    keep_over_fork,
    serve_as_greenlet,
    settrace,
    thread_count,
)
from fibril._core import greenlet_api as _C_API
from fibril.errors import FiberError as error
from fibril.errors import GreenletExit

__all__ = [
    "_C_API",
    "CLOCKS_PER_SEC",
    "GREENLET_USE_CONTEXT_VARS",
    "GREENLET_USE_GC",
    "GREENLET_USE_STANDARD_THREADING",
    "GREENLET_USE_TRACING",
    "GreenletExit",
    "enable_optional_cleanup",
    "error",
    "get_clocks_used_doing_optional_cleanup",
    "get_pending_cleanup_count",
    "get_total_main_greenlets",
    "getcurrent",
    "gettrace",
    "greenlet",
    "set_thread_local",
    "settrace",
]

# What greenlet was built with: here these are always there.
GREENLET_USE_GC = 1
GREENLET_USE_TRACING = 1
GREENLET_USE_CONTEXT_VARS = 1
GREENLET_USE_STANDARD_THREADING = 1

CLOCKS_PER_SEC = 1_000_000  # POSIX fixes it

_clocks_used: int | None = 0
_thread_local: Any = None  # made when it is asked for: a patch would complain of it


def enable_optional_cleanup(flag: object, /) -> None:
    """fibril has no search of the heap for fibers of ended threads that could be switched off."""
    global _clocks_used
    _clocks_used = 0 if flag else None


def get_clocks_used_doing_optional_cleanup() -> int | None:
    """Time spent on that search; None while it is disabled."""
    return _clocks_used


def get_pending_cleanup_count() -> int:
    """Ended threads whose fibers wait to be cleaned up: fibril does that while the thread ends."""
    return 0


def get_total_main_greenlets() -> int:
    """Native threads that use fibers."""
    return thread_count()


def set_thread_local(key: str, value: Any, /) -> None:
    """Something that lives as long as the native thread."""
    global _thread_local
    if _thread_local is None:
        _thread_local = native.local()
    setattr(_thread_local, key, value)


if sys.version_info < (3, 13):  # newer ones have no such count
    from fibril._core import trash_nesting as get_tstate_trash_delete_nesting  # noqa: F401

for _type, _name in ((error, "error"), (GreenletExit, "GreenletExit")):
    _type.__module__, _type.__name__, _type.__qualname__ = "greenlet", _name, _name
serve_as_greenlet(
    {
        "getcurrent": getcurrent,
        "error": error,
        "GreenletExit": GreenletExit,
        "settrace": settrace,
        "gettrace": gettrace,
    }
)
# A fork copies greenlets, the main one too; the real gevent goes on with its hub in the child.
keep_over_fork()
