"""gevent.ssl, served by weft."""

from weft.ssl import *  # noqa: F403
from weft.ssl import __all__ as _weft_names
from weft.ssl import _create_unverified_context

__all__ = [*_weft_names, "_create_unverified_context"]
