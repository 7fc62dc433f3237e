"""The standard library's own functions, made to use our classes: none of them is written anew."""

from types import FunctionType
from typing import Any

__all__ = ["reading"]


def reading(names: dict[str, Any], function: Any) -> Any:
    """A copy of a function of the standard library that looks its global names up in `names`."""
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    return copy
