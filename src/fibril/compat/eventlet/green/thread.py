"""eventlet.green.thread, served by fibril: `_thread`, where a thread is a task."""

import _thread as _stdlib

from fibril.thread import *  # noqa: F403
from fibril.thread import LockType as Lock
from fibril.thread import __all__ as _fibril_names

_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("__")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})

__all__ = [*_fibril_names, "Lock"]
__patched__ = ["Lock", "allocate_lock", "get_ident", "start_new_thread"]
