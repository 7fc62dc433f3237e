"""eventlet.green.time, served by fibril."""

from time import *  # noqa: F403

from ..greenthread import sleep  # type: ignore[assignment]  # of fewer types

__all__ = ["sleep"]
__patched__ = ["sleep"]
