"""The standard library's own functions, made to use our classes: none of them is written anew."""

from types import FunctionType, ModuleType
from typing import Any

__all__ = ["Names", "Overlay", "reading"]


class Names(dict[str, Any]):
    """A module's global names with some of ours in the place of its own, for reading().

    What is not ours is looked up when it is asked for: a program may set such a name.
    """

    def __init__(self, module: ModuleType, **ours: Any) -> None:
        super().__init__(__name__=module.__name__, __builtins__=__builtins__, **ours)
        self._theirs = vars(module)

    def __missing__(self, name: str) -> Any:
        return self._theirs[name]


class Overlay:
    """A module as an object with attributes, some of them ours in the place of its own."""

    def __init__(self, module: ModuleType, **ours: Any) -> None:
        vars(self).update(ours, _module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_module"], name)


def reading(names: dict[str, Any], function: Any) -> Any:
    """A copy of a function of the standard library that looks its global names up in `names`."""
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    return copy
