"""eventlet.green.select, served by fibril."""

import select as _stdlib
from typing import Any

from fibril.select import *  # noqa: F403
from fibril.select import __all__ as _fibril_names

_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("__")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})

__all__ = [*_fibril_names, "get_fileno"]
__patched__ = ["select"]


def get_fileno(obj: Any) -> int:
    """The descriptor of what has one, or is one. Raises TypeError."""
    number = obj.fileno() if hasattr(obj, "fileno") else obj
    if not isinstance(number, int):
        raise TypeError(f"Expected int or long, got {type(number)}")
    return number
