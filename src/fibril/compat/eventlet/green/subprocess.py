"""eventlet.green.subprocess, served by fibril."""

import subprocess as _stdlib

from fibril.subprocess import *  # noqa: F403
from fibril.subprocess import __all__ as _fibril_names

_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("__")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})

__all__ = [*_fibril_names]
__patched__ = ["Popen", "call", "check_call", "check_output"]
