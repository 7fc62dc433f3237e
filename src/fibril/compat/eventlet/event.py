"""eventlet.event, served by fibril: a value or an exception that is sent once.

The idea: who waits, waits for one outcome. reset() puts a fresh one in its place, so that those who
were sent the former one still get it, however late they run.

Threads: any.
"""

from __future__ import annotations

from typing import Any

from fibril import _core
from fibril._core import getcurrent

__all__ = ["NOT_USED", "Event"]


class _NotUsed:
    def __repr__(self) -> str:
        return "NOT_USED"


NOT_USED: Any = _NotUsed()


class _Outcome:
    """What was sent, or will be."""

    __slots__ = ("exception", "sent", "value")

    def __init__(self) -> None:
        self.sent = _core.Event()
        self.value: Any = NOT_USED
        self.exception: tuple[Any, ...] | None = None  # arguments of throw()

    def get(self) -> Any:
        if self.exception is not None:
            return getcurrent().throw(*self.exception)
        return self.value


class Event:
    """A value, or an exception, that is sent once to all who wait.

    Switches: never, but for wait(). Threads: any.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> import eventlet
    >>> event = eventlet.Event()
    >>> thread = eventlet.spawn(event.wait)
    >>> event.send("here")
    >>> thread.wait()
    'here'
    """

    def __init__(self) -> None:
        self._outcome = _Outcome()

    def __str__(self) -> str:
        outcome = self._outcome
        return (
            f"<{type(self).__name__} at {id(self):#x} result={outcome.value!r} "
            f"_exc={outcome.exception!r}>"
        )

    def reset(self) -> None:
        """Let it be sent again; an AssertionError if it has not been."""
        if not self.ready():
            raise AssertionError(f"cannot reset {self!r}: nothing was sent since it was made.")
        self._outcome = _Outcome()

    def ready(self) -> bool:
        """Whether it was sent: wait() returns at once."""
        return self._outcome.sent.is_set()

    def has_exception(self) -> bool:
        """Whether an exception was sent."""
        return self._outcome.exception is not None

    def has_result(self) -> bool:
        """Whether a value was sent."""
        return self.ready() and not self.has_exception()

    def poll(self, notready: Any = None) -> Any:
        """wait() if it was sent, else `notready`."""
        return self.wait() if self.ready() else notready

    def poll_exception(self, notready: Any = None) -> Any:
        """wait(), which raises, if an exception was sent, else `notready`."""
        return self.wait() if self.has_exception() else notready

    def poll_result(self, notready: Any = None) -> Any:
        """wait() if a value was sent, else `notready`."""
        return self.wait() if self.has_result() else notready

    def wait(self, timeout: float | None = None) -> Any:
        """The value, or raises the exception; None if neither has come in `timeout` seconds.

        Switches: if it must wait. Threads: any.
        """
        outcome = self._outcome
        return outcome.get() if outcome.sent.wait(timeout) else None

    def send(self, result: Any = None, exc: Any = None) -> None:
        """Send a value, or `exc`: an exception, its class, or throw()'s arguments as a tuple.

        An AssertionError if it was sent already.
        """
        outcome = self._outcome
        if outcome.sent.is_set():
            raise AssertionError(f"cannot send {self!r} again. Call its reset() before.")
        outcome.value = result
        if exc is not None:
            outcome.exception = exc if isinstance(exc, tuple) else (exc,)
        outcome.sent.set()

    def send_exception(self, *args: Any) -> None:
        """Send an exception: throw()'s arguments."""
        self.send(NOT_USED, args)
