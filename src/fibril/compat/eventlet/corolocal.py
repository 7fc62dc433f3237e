"""eventlet.corolocal, served by fibril."""

from fibril._core import current_fiber as _current
from fibril.local import local

__all__ = ["get_ident", "local"]


def get_ident() -> int:
    """A number of the current greenthread's own."""
    return id(_current())
