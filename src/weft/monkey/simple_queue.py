"""`queue.SimpleQueue` for patched programs: an executor's workers wait in one.

The idea: weft's own queue does all of it, natively, and its `put` may interrupt itself, as a
destructor's may.
Do not add: a limit to its size; the standard library's has none.
"""

from types import GenericAlias

from weft.queue import Queue

__all__ = ["SimpleQueue"]


class SimpleQueue(Queue):
    """An unbounded queue as `queue.SimpleQueue`, whose `get` lets other tasks run.

    Switches: if it must wait. Threads: any.
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self) -> None:
        super().__init__()
