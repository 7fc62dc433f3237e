"""gevent._socketcommon, served by fibril: programs have wait_read and wait_write from here."""

from gevent.socket import *  # noqa: F403
from gevent.socket import __all__ as _gevent_names

__all__ = [*_gevent_names]
