"""gevent.events, served by fibril; the interfaces where zope.interface is installed."""

from typing import Any

from fibril.compat import interfaces as _interfaces
from fibril.events import *  # noqa: F403
from fibril.events import __all__ as _fibril_names

__all__ = [name for name in _fibril_names if name != "notify"]
if _interfaces.is_available():
    __all__ += [*_interfaces.NAMES]


def __getattr__(name: str) -> Any:
    if name in _interfaces.NAMES and _interfaces.is_available():
        return _interfaces.get(name)
    hint = ": install zope.interface" if name in _interfaces.NAMES else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
