"""What was there before a patch: put something in place of a name, and find the original again.

The idea: `saved` is {module: {name: original}}, as programs that look into gevent's expect; a
method of a class is saved as "Class.method". A class that was patched in place has no original any
more, so `get_original` makes one: a subclass with the original methods, which blocks.

Invariant: what is saved for a name is what was there before the first patch, for ever.
Do not add: what to patch; that is the table in patches.py.
"""

import inspect
import sys
from types import ModuleType
from typing import Any

__all__ = [
    "get_original",
    "is_object_patched",
    "original_in",
    "originals",
    "put",
    "remove_item",
    "saved",
]

saved: dict[str, dict[str, Any]] = {}


def put(module: ModuleType, name: str, replacement: Any) -> Any:
    """Put `replacement` in place of a name, which may be "Class.method"; what was there before, or
    None.

    Switches: never. Threads: any.
    """
    class_name, _, attribute = name.rpartition(".")
    owner = getattr(module, class_name) if class_name else module
    # Not getattr: that binds methods, and a program may have made a module's name a property.
    if class_name:
        original = inspect.getattr_static(owner, attribute, None)
    else:
        original = vars(module).get(attribute)
    if original is not None or (not class_name and attribute in vars(module)):
        saved.setdefault(module.__name__, {}).setdefault(name, original)
    setattr(owner, attribute, replacement)
    return original


def originals(of_module: str | None = None) -> dict[int, tuple[Any, Any]]:
    """What stands in the place of an original now, by its identity, and that original; of one
    module, or of all. Methods are not among them.

    Switches: never. Threads: any.
    """
    found = {}
    for module_name in [of_module] if of_module else list(saved):
        names = vars(sys.modules.get(module_name, object))
        for name, original in list(saved.get(module_name, {}).items()):
            if names.get(name, original) is not original:
                found[id(names[name])] = names[name], original
    return found


def remove_item(module: ModuleType, attr: str) -> None:
    """Take a name away from a module, and keep what it was for `get_original`; no error if absent.

    Switches: never. Threads: any.
    """
    if attr in vars(module):
        saved.setdefault(module.__name__, {}).setdefault(attr, vars(module)[attr])
        delattr(module, attr)


def get_original(mod_name: str | list[str] | tuple[str, ...], item_name: Any) -> Any:
    """What was there before a patch; what is there now, if it was not patched.

    mod_name: a module's name, or several of which the first that can be imported counts. item_name:
    one name, or several for a list of originals.

    Switches: never. Threads: any. Raises ImportError, AttributeError.

    >>> from fibril import monkey
    >>> monkey.patch_time()
    True
    >>> monkey.get_original("time", "sleep")
    <built-in function sleep>
    """
    module = _first_module([mod_name] if isinstance(mod_name, str) else mod_name)
    if isinstance(item_name, str):
        return original_in(module, item_name)
    return [original_in(module, name) for name in item_name]


def _first_module(names: Any) -> ModuleType:
    last = len(names) - 1
    for index, name in enumerate(names):
        try:
            __import__(name)
        except ImportError:
            if index == last:
                raise
        else:
            return sys.modules[name]
    raise ImportError("cannot find an original: no module was named. Give at least one.")


def original_in(module: ModuleType, name: str) -> Any:
    """get_original() for a module that is at hand.

    Switches: never. Threads: any. Raises AttributeError.
    """
    of_module = saved.setdefault(module.__name__, {}) if module.__name__ in saved else {}
    if name not in of_module and (methods := _methods(of_module, name)):
        patched = getattr(module, name)
        of_module[name] = type(name, (patched,), {**methods, "__module__": module.__name__})
    return of_module[name] if name in of_module else getattr(module, name)


def _methods(of_module: dict[str, Any], class_name: str) -> dict[str, Any]:
    start = class_name + "."
    return {
        name.removeprefix(start): original
        for name, original in of_module.items()
        if name.startswith(start)
    }


def is_object_patched(mod_name: str, item_name: str) -> bool:
    """Whether a module's name, or a method of the class of that name, is patched.

    Switches: never. Threads: any.
    """
    of_module = saved.get(mod_name, {})
    return item_name in of_module or bool(_methods(of_module, item_name))
