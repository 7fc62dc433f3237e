"""eventlet.green.Queue, served by fibril: `queue`, where a size of 0 is no limit."""

from ..queue import Empty, Full
from ..queue import LifoQueue as _LifoQueue
from ..queue import PriorityQueue as _PriorityQueue
from ..queue import Queue as _Queue

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue"]
__patched__ = ["LifoQueue", "PriorityQueue", "Queue"]


class Queue(_Queue):
    """As the standard library's."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize or None)


class PriorityQueue(_PriorityQueue):
    """As the standard library's."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize or None)


class LifoQueue(_LifoQueue):
    """As the standard library's."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize or None)
