"""The standard library's `time`, with a `sleep` that lets other tasks run.

`fibril.monkey.patch_time` puts this `sleep` in place of the standard library's.
Do not add: clocks. They do not block, so the real ones serve.
"""

import time as stdlib
from time import *  # noqa: F403

from fibril import _core

__all__ = [*(name for name in vars(stdlib) if not name.startswith("_"))]

sleep = _core.time_sleep
