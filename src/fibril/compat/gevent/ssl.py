"""gevent.ssl, served by fibril."""

from fibril.ssl import *  # noqa: F403
from fibril.ssl import __all__ as _fibril_names
from fibril.ssl import _create_unverified_context

__all__ = [*_fibril_names, "_create_unverified_context"]
