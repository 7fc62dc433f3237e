"""greenlet's names, served by fibril: `greenlet` is `fibril.Fiber`."""

from typing import Any

import fibril
from fibril.compat import VERSIONS as _VERSIONS

from ._greenlet import (
    _C_API,
    GreenletExit,
    error,
    getcurrent,
    gettrace,
    greenlet,
    settrace,
)

# Not among greenlet's public names, but there.
from ._greenlet import CLOCKS_PER_SEC as CLOCKS_PER_SEC
from ._greenlet import GREENLET_USE_CONTEXT_VARS as GREENLET_USE_CONTEXT_VARS
from ._greenlet import GREENLET_USE_GC as GREENLET_USE_GC
from ._greenlet import GREENLET_USE_TRACING as GREENLET_USE_TRACING
from ._greenlet import enable_optional_cleanup as enable_optional_cleanup
from ._greenlet import (
    get_clocks_used_doing_optional_cleanup as get_clocks_used_doing_optional_cleanup,
)

__version__ = _VERSIONS["greenlet"]
__fibril_version__ = fibril.__version__

__all__ = [
    "_C_API",
    "GreenletExit",
    "__version__",
    "error",
    "getcurrent",
    "gettrace",
    "greenlet",
    "settrace",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: fibril does not have it (yet)"
    )
