"""eventlet.timeout, served by fibril: a Timeout runs from the moment it is made."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import fibril
from fibril import _core
from fibril._core import getcurrent

__all__ = ["Timeout", "is_timeout", "with_timeout", "wrap_is_timeout"]

_NOT_GIVEN: Any = object()


class Timeout(fibril.Timeout):
    """Raises an exception in the current greenthread after a number of seconds, from now on.

    seconds: None never, less than 0 at once. exception: what is raised instead of the Timeout, a
    class or an instance; True or None: the Timeout itself; False: it ends its ``with`` block
    silently.

    Switches: never. Threads: any; it strikes the greenthread that made it.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> import eventlet
    >>> with eventlet.Timeout(0.001, False):
    ...     eventlet.sleep(10)
    """

    is_timeout = True
    _is_in_line = False  # of 0 seconds, and has not struck

    def __init__(self, seconds: float | None = None, exception: Any = None) -> None:
        if seconds is not None and seconds < 0:
            seconds = 0
        super().__init__(seconds, None if exception is True else exception)
        self.start()

    def start(self) -> None:
        """Begin to count again, after cancel(); an AssertionError if it counts already."""
        if self.pending:
            raise AssertionError(f"cannot start {self!r}, which has started. Cancel it before.")
        if self.seconds == 0:  # in line with who is ready, where timers come after them
            self._is_in_line = True
            fibril.get_hub().call_soon(self._strike, getcurrent())
        else:
            super().start()

    def _strike(self, fiber: fibril.Fiber) -> None:
        if self._is_in_line:
            self._is_in_line = False
            if not fiber.dead:
                _core.throw_later(fiber, self.exception or self)

    @property
    def pending(self) -> bool:
        """Whether it counts."""
        return self._is_in_line or super().pending

    def cancel(self) -> None:
        """Do not strike."""
        self._is_in_line = False
        super().cancel()

    def __exit__(self, *error: Any) -> bool | None:
        self._is_in_line = False
        return super().__exit__(*error)


def with_timeout(
    seconds: float | None, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """function(*args, **kwargs); raises Timeout, or returns timeout_value, if it takes longer."""
    instead = kwargs.pop("timeout_value", _NOT_GIVEN)
    timeout = Timeout(seconds)
    try:
        return function(*args, **kwargs)
    except Timeout as struck:
        if struck is timeout and instead is not _NOT_GIVEN:
            return instead
        raise
    finally:
        timeout.cancel()
        del timeout  # if it struck, it has this frame: no cycle


def wrap_is_timeout(base: Any) -> Any:
    """Mark a class of exceptions, or what a function makes, as a timeout: see is_timeout()."""
    if isinstance(base, type):
        cast("Any", base).is_timeout = property(lambda _: True)
        return base

    @functools.wraps(base)
    def marked(*args: Any, **kwargs: Any) -> Any:
        made = base(*args, **kwargs)
        made.is_timeout = True
        return made

    return marked


def is_timeout(obj: object) -> bool:
    """Whether an exception says that something took too long: whoever it is of."""
    return bool(getattr(obj, "is_timeout", isinstance(obj, TimeoutError)))
