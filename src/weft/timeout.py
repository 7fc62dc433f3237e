"""Timeout: an exception that comes to the fiber that started it, when its time is over.

The idea: nothing polls and nothing is wrapped. A timer leaves the exception for the fiber and wakes
it from whatever it waits for. A fiber that does not wait gets it at its next wait.

It derives from BaseException, so that ``except Exception`` in the code it strikes does not swallow
it, and since several may be running, each ``with`` block catches only its own.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, TypeVar

from weft import _core

__all__ = ["Timeout", "with_timeout"]

_T = TypeVar("_T")
_NOT_GIVEN: Any = object()


class Timeout(BaseException):
    """Raise an exception in the current fiber after a number of seconds.

    seconds: how long from start(); None never. exception: what is raised instead of the Timeout
    itself, a class or an instance; False: the ``with`` block ends silently instead.

    Switches: never. Threads: any; it strikes the fiber that calls start().

    >>> import weft
    >>> with weft.Timeout(0.001, False):
    ...     weft.sleep(10)
    """

    def __init__(
        self,
        seconds: float | None = None,
        exception: Any = None,
        ref: bool = True,
        priority: int = -1,
    ) -> None:
        super().__init__()
        self.seconds = seconds
        self.exception = exception
        self._timer = _core.Timer()

    def _thrown(self) -> BaseException:
        if self.exception is None or self.exception is False or isinstance(self.exception, str):
            return self
        thrown = self.exception() if isinstance(self.exception, type) else self.exception
        if not isinstance(thrown, BaseException):
            raise TypeError(f"cannot time out with {thrown!r}: give an exception class or instance")
        return thrown

    def start(self) -> None:
        """Begin to count, for the current fiber.

        Switches: never. Threads: any. Raises RuntimeError if it is counting already.
        """
        if self._timer.pending:
            raise RuntimeError(f"cannot start {self!r}: it is already started")
        if self.seconds is not None:
            self._timer.start(self.seconds, _core.getcurrent(), self._thrown())

    @classmethod
    def start_new(cls, timeout: Any = None, exception: Any = None, ref: bool = True) -> Timeout:
        """Return a started Timeout: a new one of that many seconds, or the given one.

        Switches: never. Threads: any.
        """
        if isinstance(timeout, Timeout):
            if not timeout.pending:
                timeout.start()
            return timeout
        fresh = cls(timeout, exception, ref)
        fresh.start()
        return fresh

    @property
    def pending(self) -> bool:
        """Started, and neither struck nor cancelled."""
        return self._timer.pending

    def cancel(self) -> None:
        """Do not strike. It may be started again.

        Switches: never. Threads: any.
        """
        self._timer.cancel()

    close = cancel

    def __enter__(self) -> Timeout:
        if not self._timer.pending:
            self.start()
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> bool | None:
        self._timer.cancel()
        return True if value is self and self.exception is False else None

    def __repr__(self) -> str:
        state = " pending" if self._timer.pending else ""
        extra = "" if self.exception is None else f" exception={self.exception!r}"
        return f"<{type(self).__name__} at {id(self):#x} seconds={self.seconds}{extra}{state}>"

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        suffix = "" if self.seconds == 1 else "s"
        text = f"{self.seconds} second{suffix}"
        if self.exception is None:
            return text
        if self.exception is False:
            return f"{text} (silent)"
        return f"{text}: {self.exception}"

    def __lt__(self, other: Timeout) -> bool:
        return (self.seconds or 0) < (other.seconds or 0)


def with_timeout(seconds: float | None, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call function(*args, **kwargs); raise Timeout, or return timeout_value, when it takes longer.

    seconds: None for ever. timeout_value: keyword only, taken out of kwargs.

    Switches: as the function does. Threads: any.

    >>> import weft
    >>> weft.with_timeout(0.001, weft.sleep, 10, timeout_value="too slow")
    'too slow'
    """
    instead = kwargs.pop("timeout_value", _NOT_GIVEN)
    timeout = Timeout.start_new(seconds)
    try:
        return function(*args, **kwargs)
    except Timeout as struck:
        if struck is timeout and instead is not _NOT_GIVEN:
            return instead
        raise
    finally:
        timeout.cancel()


_core.set_timeout_class(Timeout)
