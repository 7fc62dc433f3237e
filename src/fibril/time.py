"""The standard library's `time`, with a `sleep` that lets other tasks run.

`fibril.monkey.patch_time` puts this `sleep` in place of the standard library's.
Do not add: clocks. They do not block, so the real ones serve.
"""

import time as stdlib
from operator import index
from threading import TIMEOUT_MAX
from time import *  # noqa: F403
from typing import SupportsIndex

from fibril import _core

__all__ = [*(name for name in vars(stdlib) if not name.startswith("_"))]


def sleep(seconds: float | SupportsIndex, /) -> None:
    """Let other tasks run for `seconds`, and go on after that; 0 lets the ready ones run once.

    Takes and refuses exactly what `time.sleep` does: ValueError if negative or NaN, OverflowError
    if too large, TypeError if it is no number.

    Switches: always. Threads: any.

    >>> from fibril import time
    >>> time.sleep(0.001)
    """
    number = seconds if isinstance(seconds, float) else index(seconds)
    if number != number:
        raise ValueError("Invalid value NaN (not a number)")
    if number < 0:
        raise ValueError("sleep length must be non-negative")
    if number > TIMEOUT_MAX:
        raise OverflowError("timestamp too large to convert to C PyTime_t")
    _core.sleep(number)
