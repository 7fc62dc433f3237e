"""gevent.signal, served by fibril."""

import signal as _stdlib
from signal import *  # noqa: F403

from fibril.signal import (
    getsignal,
    set_wakeup_fd,
    signal,
)

__all__ = ["getsignal", "set_wakeup_fd", "signal"]
__implements__ = ["getsignal", "set_wakeup_fd", "signal"]
# What the standard library's has and does not list.
_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("_")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})
