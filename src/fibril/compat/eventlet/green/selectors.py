"""eventlet.green.selectors, served by fibril."""

import selectors as _stdlib

from fibril.selectors import *  # noqa: F403
from fibril.selectors import __all__ as _fibril_names

_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("__")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})

__all__ = [*_fibril_names]
