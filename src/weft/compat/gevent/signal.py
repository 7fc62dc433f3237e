"""gevent.signal, served by weft."""

from weft.signal import getsignal, set_wakeup_fd, signal

__all__ = ["getsignal", "set_wakeup_fd", "signal"]
