"""eventlet.hubs.timer, served by fibril: calls that the hub makes at their time, unless cancelled.

Threads: the hub's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fibril import _core
from fibril._core import getcurrent

__all__ = ["LocalTimer", "Timer"]


class Timer:
    """callback(*args, **kwargs) in so many seconds, from schedule() on.

    Switches: never. Threads: owner.
    """

    def __init__(
        self, seconds: float, callback: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        self.seconds = seconds
        self.tpl = callback, args, kwargs
        self.called = False  # or cancelled: it will not be called any more
        self.scheduled_time = 0.0
        self._native: _core.Timer | None = None  # while scheduled; the hub keeps us

    @property
    def pending(self) -> bool:
        """Neither called nor cancelled."""
        return not self.called

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} seconds={self.seconds} {self.tpl!r}>"

    def __lt__(self, other: Timer) -> bool:
        return id(self) < id(other)

    def copy(self) -> Timer:
        """Another one of the same, not scheduled."""
        callback, args, kwargs = self.tpl
        return type(self)(self.seconds, callback, *args, **kwargs)

    def schedule(self) -> Timer:
        """Have this thread's hub call it in its time."""
        from . import get_hub

        self.called = False
        get_hub().add_timer(self)
        return self

    def __call__(self, *_: Any) -> None:
        if not self.called:
            self.called = True
            callback, args, kwargs = self.tpl
            callback(*args, **kwargs)

    def cancel(self) -> None:
        """Do not call it; no effect if it was."""
        from . import get_hub

        self.called = True
        get_hub().timer_canceled(self)


class LocalTimer(Timer):
    """A timer that is not called once the greenthread that made it has ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.greenlet: _core.Fiber | None = getcurrent()

    @property
    def pending(self) -> bool:
        """Neither called nor cancelled, and its greenthread is there."""
        return not self.called and self.greenlet is not None and not self.greenlet.dead

    def __call__(self, *_: Any) -> None:
        if self.pending:
            super().__call__()

    def cancel(self) -> None:
        """Do not call it."""
        self.greenlet = None
        super().cancel()
