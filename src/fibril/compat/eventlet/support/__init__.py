"""eventlet.support, served by fibril."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from . import greenlets as greenlets

__all__ = ["bytes_to_str", "get_errno", "safe_writelines", "wrap_deprecated"]


def get_errno(exc: BaseException) -> Any:
    """The number of an error of the system's, or None."""
    number = getattr(exc, "errno", None)
    if number is not None:
        return number
    try:
        return exc.args[0]
    except IndexError:
        return None


def bytes_to_str(b: bytes, encoding: str = "ascii") -> str:
    """Bytes as text."""
    return b.decode(encoding)


def wrap_deprecated(old: str, new: str) -> Callable[[Any], Any]:
    """A function of the same, that says that it has another name now."""

    def wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def renamed(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(
                f"eventlet.{old} is deprecated: use eventlet.{new}",
                DeprecationWarning,
                stacklevel=2,
            )
            return function(*args, **kwargs)

        return renamed

    return wrapper


def safe_writelines(fd: Any, to_write: Any) -> None:
    """Write all pieces."""
    fd.writelines(to_write)
