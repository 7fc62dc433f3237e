"""greenlet's names, served by weft: `greenlet` is `weft.Fiber`."""

from typing import Any

import weft
from weft import Fiber as greenlet
from weft import FiberError as error
from weft import GreenletExit, getcurrent
from weft._core import greenlet_api as _C_API
from weft.compat import VERSIONS as _VERSIONS

__version__ = _VERSIONS["greenlet"]
__weft_version__ = weft.__version__

__all__ = ["_C_API", "GreenletExit", "__version__", "error", "getcurrent", "greenlet"]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}: weft does not have it (yet)"
    )
