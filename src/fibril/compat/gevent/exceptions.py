"""gevent.exceptions, served by fibril."""

from fibril.errors import (
    BlockingSwitchOutError,
    ConcurrentObjectUseError,
    GreenletExit,
    HubDestroyed,
    InvalidSwitchError,
    InvalidThreadUseError,
    LoopExit,
)

__all__ = [
    "BlockingSwitchOutError",
    "ConcurrentObjectUseError",
    "GreenletExit",
    "HubDestroyed",
    "InvalidSwitchError",
    "InvalidThreadUseError",
    "LoopExit",
]
