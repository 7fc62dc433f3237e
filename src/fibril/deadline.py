"""A deadline: when a call with a `timeout` gives up, however many times it has to wait.

The idea: a timeout bounds the whole call, so it becomes a moment once, at the start, and each wait
of the call gets what is left.
Do not add: waiting. Whoever waits has a timeout of its own to fill from here.
"""

from fibril import _core

__all__ = ["Deadline"]


class Deadline:
    """The end of `timeout` seconds from now; None means never.

    Switches: never. Threads: any.
    """

    __slots__ = ("_at_ns",)

    def __init__(self, timeout: float | None) -> None:
        self._at_ns = None if timeout is None else _core.deadline_ns(timeout)

    def remaining_s(self) -> float | None:
        """Seconds until the deadline, at least 0; None if it never comes."""
        if self._at_ns is None:
            return None
        return max(0, self._at_ns - _core.now_ns()) / 1e9
