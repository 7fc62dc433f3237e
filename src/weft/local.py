"""Values that each fiber has for itself: `threading.local`, where a thread is a fiber.

The idea: one dict per fiber, found by the fiber's identity, and dropped by a weak reference when
the fiber is gone. Attribute access goes to that dict directly, so nothing is swapped in and out,
and native threads, each with fibers of its own, cannot see each other's values.

Invariant: an instance has no attributes of its own but the two below; subclasses with `__slots__`
share those among all fibers, as with the standard library's class.
Do not add: a way to reach another fiber's values.
"""

import weakref
from typing import Any, Self

from weft._core import Fiber, current_fiber

__all__ = ["local"]

_MISSING = object()
_get = object.__getattribute__
_set = object.__setattr__


def _class_attribute(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return None


class _Values(dict[int, tuple["weakref.ref[Fiber]", dict[str, Any]]]):
    """The dicts of all fibers that used one local object, by the fiber's id."""

    __slots__ = ("__weakref__",)

    def add(self, fiber: Fiber) -> dict[str, Any]:
        values: dict[str, Any] = {}
        key = id(fiber)
        ours = weakref.ref(self)

        def forget(_: object) -> None:
            if (alive := ours()) is not None:
                alive.pop(key, None)

        self[key] = (weakref.ref(fiber, forget), values)
        return values


class local:  # noqa: N801
    """An object whose attributes differ from fiber to fiber.

    A subclass's `__init__` is called, with the arguments that the object was made with, once in
    each fiber that uses it.

    Switches: never. Threads: any.

    >>> import weft
    >>> from weft.local import local
    >>> mine = local()
    >>> mine.number = 1
    >>> weft.spawn(hasattr, mine, "number").get()
    False
    """

    __slots__ = ("__weakref__", "_weft_arguments", "_weft_values")

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Self:
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        self = object.__new__(cls)
        values = _Values()
        values.add(current_fiber())  # `__init__` is about to be called in this fiber
        _set(self, "_weft_values", values)
        _set(self, "_weft_arguments", (args, kwargs))
        return self

    def __getattribute__(self, name: str) -> Any:
        values = _own_values(self)
        found = values.get(name, _MISSING)
        if found is not _MISSING:
            return found
        return values if name == "__dict__" else _get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__dict__":
            raise AttributeError(
                f"{type(self).__name__!r} object attribute '__dict__' is read-only"
            )
        values = _own_values(self)
        if hasattr(type(_class_attribute(type(self), name)), "__set__"):
            _set(self, name, value)  # a property, or a slot
        else:
            values[name] = value

    def __delattr__(self, name: str) -> None:
        if name == "__dict__":
            raise AttributeError(
                f"{type(self).__name__!r} object attribute '__dict__' is read-only"
            )
        values = _own_values(self)
        if name in values:
            del values[name]
        elif hasattr(type(_class_attribute(type(self), name)), "__delete__"):
            object.__delattr__(self, name)
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _own_values(self: local) -> dict[str, Any]:
    """The current fiber's dict; made, and filled by `__init__`, when the fiber comes first."""
    fiber = current_fiber()
    values: _Values = _get(self, "_weft_values")
    found = values.get(id(fiber))
    if found is not None:
        return found[1]
    fresh = values.add(fiber)
    cls = type(self)
    if cls.__init__ is not object.__init__:
        args, kwargs = _get(self, "_weft_arguments")
        try:
            cls.__init__(self, *args, **kwargs)
        except BaseException:
            values.pop(id(fiber), None)
            raise
    return fresh
