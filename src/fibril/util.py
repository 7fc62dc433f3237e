"""What there is to see in a running program, and what else gevent has under this name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from fibril.inspect.tree import FiberTree, format_run_info, print_run_info
from fibril.testing.switches import assert_switches

__all__ = ["FiberTree", "assert_switches", "format_run_info", "print_run_info", "wrap_errors"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_E = TypeVar("_E", bound=BaseException)


class wrap_errors(Generic[_P, _R, _E]):  # noqa: N801
    """A function that returns the exceptions of some classes instead of raising them.

    errors: a class, or a tuple of classes. func: what is called. In a task such an exception is its
    value then, and is not printed.

    Switches: as func does. Threads: any.

    >>> import fibril
    >>> from fibril.util import wrap_errors
    >>> fibril.spawn(wrap_errors(ValueError, int), "no number").get()
    ValueError("invalid literal for int() with base 10: 'no number'")
    """

    def __init__(self, errors: type[_E] | tuple[type[_E], ...], func: Callable[_P, _R]) -> None:
        self.__errors = errors
        self.__func = func
        functools.update_wrapper(self, func)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R | _E:
        try:
            return self.__func(*args, **kwargs)
        except self.__errors as error:
            return error

    def __str__(self) -> str:
        return str(self.__func)

    def __repr__(self) -> str:
        return repr(self.__func)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__func, name)
