"""eventlet.hubs.kqueue, served by fibril: Linux has no kqueue."""

from .hub import BaseHub

__all__ = ["Hub", "is_available"]


class Hub(BaseHub):
    """Never made here."""


def is_available() -> bool:
    """False."""
    return False
