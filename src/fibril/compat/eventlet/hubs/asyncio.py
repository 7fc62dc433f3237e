"""eventlet.hubs.asyncio, served by fibril: its hub runs no asyncio loop."""

from .hub import BaseHub

__all__ = ["Hub", "is_available"]


class Hub(BaseHub):
    """Never made here."""


def is_available() -> bool:
    """False."""
    return False
