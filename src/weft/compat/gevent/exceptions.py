"""gevent.exceptions, served by weft."""

from weft.errors import (
    BlockingSwitchOutError,
    ConcurrentObjectUseError,
    HubDestroyed,
    InvalidSwitchError,
    InvalidThreadUseError,
    LoopExit,
)

__all__ = [
    "BlockingSwitchOutError",
    "ConcurrentObjectUseError",
    "HubDestroyed",
    "InvalidSwitchError",
    "InvalidThreadUseError",
    "LoopExit",
]
