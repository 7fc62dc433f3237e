"""Waiter: gevent's one-shot hand-over of a value or an exception to one waiting fiber.

The idea: who waits is parked on an event of its own, with a place for what it will get. What comes
while nobody waits is kept for whoever asks next.

Invariant: what was handed to a fiber that was killed before it ran is kept like an early value.
Threads: any; get() waits in the caller's own.
"""

from __future__ import annotations

from typing import Any, Generic

from fibril import _core
from fibril._typing import T
from fibril.errors import ConcurrentObjectUseError

__all__ = ["Waiter"]

_NONE: Any = object()


class _Handover:
    """What one get() waits for."""

    def __init__(self) -> None:
        self.news = _core.Event()
        self.outcome: tuple[Any, Any] | None = None  # value, arguments of throw()


class Waiter(Generic[T]):
    """Hands one value, or one exception, to the fiber that is in get(). gevent's low-level tool.

    switch() and throw() are for callbacks of the hub: they wake the fiber and return. What comes
    before anybody waits is kept. For more than this use an Event, an AsyncResult or a Queue.

    Switches: never, but for get(). Threads: any.

    >>> import fibril
    >>> from fibril.hub import Waiter
    >>> waiter = Waiter()
    >>> timer = fibril.get_hub().loop.timer(0.01)
    >>> timer.start(waiter.switch, "it is time")
    >>> waiter.get()
    'it is time'
    """

    __slots__ = ("_exception", "_handover", "greenlet", "hub", "value")

    def __init__(self, hub: _core.Hub | None = None) -> None:
        self.hub = _core.get_hub() if hub is None else hub
        self.clear()

    def clear(self) -> None:
        """Forget what came early."""
        self.greenlet: _core.Fiber | None = None
        self.value: T | None = None
        self._exception: Any = _NONE
        self._handover: _Handover | None = None

    def ready(self) -> bool:
        """Does it hold a value or an exception that came early?"""
        return self._exception is not _NONE

    def successful(self) -> bool:
        """Does it hold a value?"""
        return self._exception is None

    @property
    def exc_info(self) -> tuple[Any, ...] | None:
        """What throw() was called with, if that came early."""
        return None if self._exception is _NONE else self._exception

    def switch(self, value: T) -> None:
        """Give the waiting fiber a value, or keep it."""
        self._hand_over(value, None)

    def switch_args(self, *args: Any) -> None:
        """Give it all arguments as a tuple."""
        self.switch(args)  # type: ignore[arg-type]  # a tuple is what was asked for

    def throw(self, *throw_args: Any) -> None:
        """Raise an exception in the waiting fiber, or keep it; arguments as for Fiber.throw()."""
        self._hand_over(None, throw_args)

    def _hand_over(self, value: Any, exception: Any) -> None:
        # Taken out now, though its fiber has not run yet: what comes next is for the next get().
        handover, self._handover = self._handover, None
        if handover is None:
            self.value, self._exception = value, exception
        else:
            handover.outcome = (value, exception)
            handover.news.set()

    def get(self) -> T:
        """Return the value or raise the exception; wait for it, if it has not come.

        Switches: if it must wait. Threads: any. Raises ConcurrentObjectUseError if another fiber
        waits already.
        """
        if self._exception is not _NONE:
            try:
                return _result(self.value, self._exception)  # type: ignore[no-any-return]
            finally:
                del self  # the exception has this frame now, and we have the exception: no cycle
        if self.greenlet is not None:
            raise ConcurrentObjectUseError(
                f"cannot wait on {self!r}: another fiber waits on it. Give each its own Waiter."
            )
        self._handover = handover = _Handover()
        self.greenlet = _core.getcurrent()
        try:
            handover.news.wait()
        except BaseException:
            # Handed over and not seen: kept as if it had come early. There is one place, and if
            # something has come since, that has it.
            if handover.outcome is not None and not self.ready():
                self.value, self._exception = handover.outcome
            raise
        finally:
            self.greenlet = None
            if self._handover is handover:
                self._handover = None
        assert handover.outcome is not None
        try:
            return _result(*handover.outcome)  # type: ignore[no-any-return]
        finally:
            del handover  # likewise

    def __call__(self, source: Any) -> None:
        """As a link: take over the result of a task or an AsyncResult."""
        if source.exception is None:
            self.switch(source.value)
        else:
            self.throw(source.exception)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {self._state()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self._state()}>"

    def _state(self) -> str:
        state = f"greenlet={self.greenlet}"
        if self._exception is _NONE:
            return state
        if self._exception is None:
            return f"{state} value={self.value!r}"
        return f"{state} exc_info={self._exception!r}"


def _result(value: Any, exception: Any) -> Any:
    if exception is None:
        return value
    try:
        return _core.getcurrent().throw(*exception)
    finally:
        del exception  # it has this frame now: no cycle
