"""gevent.subprocess, served by fibril."""

import subprocess as _stdlib

from fibril.subprocess import *  # noqa: F403
from fibril.subprocess import __all__ as _fibril_names

__implements__ = ["Popen", "call", "check_call", "check_output", "run"]
__imports__ = [name for name in _fibril_names if name not in __implements__]
_PRIVATE = ["_USE_POSIX_SPAWN", "_fork_exec", "_use_posix_spawn"]  # which gevent lists
__all__ = [*_fibril_names, *_PRIVATE]
# What the standard library's has beside.
_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("__")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})
