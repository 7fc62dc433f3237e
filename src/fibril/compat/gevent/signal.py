"""gevent.signal, served by fibril."""

from fibril.signal import getsignal, set_wakeup_fd, signal

__all__ = ["getsignal", "set_wakeup_fd", "signal"]
