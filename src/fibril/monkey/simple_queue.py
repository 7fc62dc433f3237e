"""`queue.SimpleQueue` for patched programs: an executor's workers wait in one.

The idea: fibril's own queue does all of it, natively, and its `put` may interrupt itself, as a
destructor's may.
Do not add: a limit to its size; the standard library's has none.
"""

from types import GenericAlias
from typing import Any

from fibril import queue

__all__ = ["SimpleQueue"]


class SimpleQueue(queue.SimpleQueue):
    """An unbounded queue as `queue.SimpleQueue`, whose `get` lets other tasks run.

    Switches: if it must wait. Threads: any.
    """

    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(self) -> None:
        super().__init__()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item; wait for one if need be, and raise `queue.Empty` in the end."""
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        return super().get(block, timeout)
