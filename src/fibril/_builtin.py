"""Functions written in Python that are, like those in whose place they are put, functions of C.

The idea: `class Clock: pause = os.wait` keeps a function of C as it is, and would make a method of
one of Python; and whoever looks at a function (inspect, pydoc, pickle, xmlrpc) sees what he would
see without the patch. So whatever stands for a function of C is decorated here.

Do not add: classes; one as an attribute of another class is no method either.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from fibril import _core

__all__ = ["builtin", "builtin_like", "unsigned_builtin"]

_F = TypeVar("_F", bound=Callable[..., Any])


def builtin(function: _F) -> _F:
    """The same as a function of C, with its signature.

    Switches: never. Threads: any.
    """
    text = f"{function.__name__}{_signature(function)}\n--\n\n{function.__doc__}"
    return cast(_F, _made(function, text))


def unsigned_builtin(function: _F) -> _F:
    """The same without a signature, as a few of the standard library's are.

    Switches: never. Threads: any.
    """
    return cast(_F, _made(function, function.__doc__ or ""))


def builtin_like(original: Any, function: Callable[..., Any]) -> Any:
    """One that takes any arguments, as a function of C that says what `original` says of itself; it
    has that one's name in its own module.

    Switches: never. Threads: any.
    """
    text = f"{original.__name__}{original.__text_signature__}\n--\n\n{original.__doc__}"
    signed = text if original.__text_signature__ else original.__doc__ or ""
    return _core.builtin(function, function.__module__, original.__name__, signed)


def _made(function: Any, text: str) -> Any:
    return _core.builtin(function, function.__module__, function.__name__, text)


def _signature(function: Any) -> str:
    """As `inspect` would say it, without annotations; that takes long to import."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    first = len(names) - len(defaults)
    words = [*names[:first]]
    words += [f"{name}={value!r}" for name, value in zip(names[first:], defaults, strict=True)]
    if code.co_posonlyargcount:
        words.insert(code.co_posonlyargcount, "/")
    if function.__kwdefaults__:
        words += ["*", *(f"{name}={value!r}" for name, value in function.__kwdefaults__.items())]
    return f"({', '.join(['$module', *words])})"
