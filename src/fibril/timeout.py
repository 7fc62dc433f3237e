"""Timeout: an exception that comes to the fiber that started it, when its time is over.

The idea: nothing polls and nothing is wrapped. A timer leaves the exception for the fiber and wakes
it from whatever it waits for. A fiber that does not wait gets it at its next wait. The hot half,
start and cancel, is native (csrc: timeout_type.c).

A Deadline is the other half: when a call with a `timeout` gives up, however many times it has to
wait. A timeout bounds the whole call, so it becomes a moment once, at the start, and each wait of
the call gets what is left.

A Timeout derives from BaseException, so that ``except Exception`` in the code it strikes does not
swallow it, and since several may be running, each ``with`` block catches only its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from fibril import _core

__all__ = ["Timeout", "with_timeout"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Instead = TypeVar("_Instead")
_NOT_GIVEN: Any = object()


class Timeout(_core.Timeout):
    """Raise an exception in the current fiber after a number of seconds.

    seconds: how long from start(); None never. exception: what is raised instead of the Timeout
    itself, a class or an instance; False: the ``with`` block ends silently instead.

    Switches: never. Threads: any; it strikes the fiber that calls start().

    >>> import fibril
    >>> with fibril.Timeout(0.001, False):
    ...     fibril.sleep(10)
    """

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

    def __repr__(self) -> str:
        state = " pending" if self.pending else ""
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


@overload
def with_timeout(
    seconds: float | None,
    function: Callable[..., _R],
    *args: Any,
    timeout_value: _Instead,
    **kwargs: Any,
) -> _R | _Instead: ...


@overload
def with_timeout(
    seconds: float | None, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
) -> _R: ...


def with_timeout(
    seconds: float | None, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Call function(*args, **kwargs); raise Timeout, or return timeout_value, when it takes longer.

    seconds: None for ever. timeout_value: keyword only, taken out of kwargs.

    Switches: as the function does. Threads: any.

    >>> import fibril
    >>> fibril.with_timeout(0.001, fibril.sleep, 10, timeout_value="too slow")
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
        del timeout  # if it struck, it has this frame: no cycle


def late(timeout: Any) -> BaseException | type[BaseException]:
    """What to raise when a call was given `timeout` to wait, and that is over.

    Switches: never. Threads: any.
    """
    if not isinstance(timeout, Timeout):
        return Timeout(timeout)
    instead = timeout.exception
    return timeout if instead in (None, False) or isinstance(instead, str) else instead


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

    def wait_until(self, is_so: Callable[[], bool], news: _core.Event) -> bool:
        """Wait until is_so(), which becomes so before `news` is set: True; False: not in time.

        It is asked again after the event is cleared: another native thread may have made it so, and
        set the event, between the question and the clearing, and will not do it again.

        Switches: if it must wait. Threads: any.
        """
        while not is_so():
            news.clear()
            if not is_so() and not news.wait(self.remaining_s()):
                return False
        return True


_core.set_timeout_class(Timeout)
