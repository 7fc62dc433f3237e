"""eventlet.green.os, served by fibril: reading, writing and children let others run."""

import os as _stdlib

from fibril import _core as _core
from fibril._io import children as _children
from fibril.fileobject import open as _open
from fibril.os import fork as fork
from fibril.os import forkpty as forkpty
from fibril.os import waitpid as waitpid

read, write = _core.read, _core.write
wait, wait3, wait4 = _children.wait, _children.wait3, _children.wait4
fdopen = _open

_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("__")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})

__all__ = [*_stdlib.__all__]
__patched__ = ["fdopen", "read", "wait", "waitpid", "write"]
