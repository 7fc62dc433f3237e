"""greenlet's names, served by weft: `greenlet` is `weft.Fiber`."""

from typing import Any

import weft
from weft.compat import VERSIONS as _VERSIONS

from ._greenlet import (
    _C_API,
    CLOCKS_PER_SEC,
    GREENLET_USE_CONTEXT_VARS,
    GREENLET_USE_GC,
    GREENLET_USE_TRACING,
    GreenletExit,
    enable_optional_cleanup,
    error,
    get_clocks_used_doing_optional_cleanup,
    getcurrent,
    gettrace,
    greenlet,
    settrace,
)

__version__ = _VERSIONS["greenlet"]
__weft_version__ = weft.__version__

__all__ = [
    "_C_API",
    "CLOCKS_PER_SEC",
    "GREENLET_USE_CONTEXT_VARS",
    "GREENLET_USE_GC",
    "GREENLET_USE_TRACING",
    "GreenletExit",
    "__version__",
    "enable_optional_cleanup",
    "error",
    "get_clocks_used_doing_optional_cleanup",
    "getcurrent",
    "gettrace",
    "greenlet",
    "settrace",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: weft does not have it (yet)"
    )
