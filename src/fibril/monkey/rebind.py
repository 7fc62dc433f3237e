"""Names that were imported before a patch: found and rebound, or listed in a warning.

The idea: `from time import sleep` leaves the original in the importing module under some name, and
a look at every loaded module finds it by identity; also where it is the default of an argument
(`def send(data, write=os.write)`), or an attribute of the standard library's classes. A name that
says that it keeps the original (`real_sleep`, `_orig_allocate_lock`, `nativeSelect`) does so on
purpose, and stays. In other classes' bodies or a subclass it cannot be exchanged without guessing
what its owner did with it, so that is told.

Invariant: the modules that must keep the originals are never touched: fibril's own, the C modules
that the replacements call, and those that the program has marked (kept.py).
Do not add: a search through the garbage collector's objects; it takes seconds in a large program.
"""

import re
import sys
import warnings
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from fibril.monkey.kept import is_kept

__all__ = ["KEPT", "MonkeyPatchWarning", "is_distinct", "is_on_purpose", "rebind", "warn"]

# The C modules below are what the replacements are made of; some of them are in the table.
KEPT = {"fibril", "_queue", "_socket", "_ssl", "_thread", "select"}

# The words of a name by which a program says that it wants what was there before a patch.
ON_PURPOSE = {"blocking", "native", "orig", "original", "real", "unpatched"}
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


class MonkeyPatchWarning(RuntimeWarning):
    """Something keeps an original: what blocks all other tasks, or is shared among them."""


def warn(message: str) -> None:
    """Tell the program's author, at the line that called into fibril.

    Switches: never. Threads: any.
    """
    warnings.warn(message, MonkeyPatchWarning, stacklevel=_depth_of_caller())


def _depth_of_caller() -> int:
    depth, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "fibril":
        depth, frame = depth + 1, frame.f_back
    return depth


def rebind(replaced: list[tuple[Any, Any]]) -> list[tuple[str, str]]:
    """Exchange each (original, replacement) wherever a module has it by name; the places.

    Warns about the places where it cannot be exchanged.

    Switches: never. Threads: any.
    """
    replacements = {id(old): (old, new) for old, new in replaced if is_distinct(old)}
    places: list[tuple[str, str]] = []
    kept: list[str] = []
    for module_name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or module_name.partition(".")[0] in KEPT:
            continue
        if is_kept(module_name):
            continue
        for name, value in list(vars(module).items()):
            if id(value) in replacements and not is_on_purpose(name):
                setattr(module, name, replacements[id(value)][1])
                places.append((module_name, name))
            elif type(value) is set and module_name in sys.stdlib_module_names:
                _rebind_in_set(value, replacements)
            elif type(value) is FunctionType and value.__module__ == module_name:
                _rebind_defaults(value, replacements)
            elif isinstance(value, type) and value.__module__ == module_name:
                _put(module, name, value, _rebind_in_class(value, replacements))
                kept += _kept_by_class(value, replacements)
    if kept:
        warn(
            f"{', '.join(kept)}: imported before the patch, so it keeps the original. "
            "Patch first thing in the program, or run it by `fibril run`."
        )
    return places


_Replacements = dict[int, tuple[Any, Any]]


def _rebind_in_set(members: set[Any], replacements: _Replacements) -> None:
    """As os.supports_dir_fd, which programs ask whether a function is in it."""
    for member in [member for member in members if id(member) in replacements]:
        members.discard(member)
        members.add(replacements[id(member)][1])


def _rebind_defaults(function: FunctionType, replacements: _Replacements) -> None:
    """What a function has for arguments that are not given, as `def f(read=os.read)`."""
    positional, by_name = function.__defaults__ or (), function.__kwdefaults__ or {}
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    first = len(names) - len(positional)
    if any(id(value) in replacements for value in positional):
        function.__defaults__ = tuple(
            value if is_on_purpose(name) else replacements.get(id(value), (None, value))[1]
            for name, value in zip(names[first:], positional, strict=True)
        )
    for name, value in by_name.items():
        if id(value) in replacements and not is_on_purpose(name):
            by_name[name] = replacements[id(value)][1]


def _rebind_in_class(cls: type, replacements: _Replacements) -> type:
    """Its methods' defaults; and of the standard library's classes the attributes and bases: then a
    new class takes its place, for objects that are made from now on."""
    is_stdlib = cls.__module__.partition(".")[0] in sys.stdlib_module_names
    for name, value in list(vars(cls).items()):
        function = value.__func__ if type(value) in (classmethod, staticmethod) else value
        if type(function) is FunctionType:
            _rebind_defaults(function, replacements)
        elif is_stdlib and id(value) in replacements and not is_on_purpose(name):
            replacement = replacements[id(value)][1]
            is_method = isinstance(replacement, FunctionType)
            setattr(cls, name, staticmethod(replacement) if is_method else replacement)
        elif is_stdlib and isinstance(value, type) and value.__qualname__ == _inner(cls, name):
            _put(cls, name, value, _rebind_in_class(value, replacements))
    if not is_stdlib or not any(id(base) in replacements for base in cls.__bases__):
        return cls
    bases = tuple(replacements.get(id(base), (None, base))[1] for base in cls.__bases__)
    own = {name: value for name, value in vars(cls).items() if name not in _OF_EACH_CLASS}
    return type(cls)(cls.__name__, bases, own)


def _put(owner: Any, name: str, before: object, now: object) -> None:
    if now is not before:
        setattr(owner, name, now)


_OF_EACH_CLASS = ("__dict__", "__weakref__")


def _inner(cls: type, name: str) -> str:
    return f"{cls.__qualname__}.{name}"


def is_on_purpose(name: str) -> bool:
    """Whether a name says that it wants what was there before a patch.

    Switches: never. Threads: any.
    """
    return any(word.lower() in ON_PURPOSE for word in _WORDS.findall(name))


def is_distinct(original: Any) -> bool:
    """Whether a thing may be recognised by its identity: None or a number is everywhere.

    Switches: never. Threads: any.
    """
    return isinstance(original, type | FunctionType | type(len))


def _kept_by_class(cls: type, replacements: _Replacements) -> Iterator[str]:
    """Attributes and base classes, of the program's own classes, that are originals."""
    if cls.__module__.partition(".")[0] in sys.stdlib_module_names:
        return
    name = f"{cls.__module__}.{cls.__qualname__}"
    for base in cls.__bases__:
        # Of fibril's own, which the standard library's now stands for, the methods are the same.
        if id(base) in replacements and base.__module__.partition(".")[0] != "fibril":
            yield f"{name} (a subclass of {base.__name__})"
    for attribute, value in vars(cls).items():
        if id(value) in replacements:
            yield f"{name}.{attribute}"
