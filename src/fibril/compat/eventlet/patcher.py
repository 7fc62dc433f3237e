"""eventlet.patcher, served by fibril: its patch by eventlet's names, originals, and modules anew.

The idea: fibril patches in place, so an original is a module that looks behind the patch, name by
name. Two modules are imported a second time instead, with originals beneath them: what they block
on is in them by name.

Threads: owner; call it on the main thread.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from fibril import monkey
from fibril.monkey.saved import original_in

__all__ = [
    "already_patched",
    "import_patched",
    "inject",
    "is_monkey_patched",
    "monkey_patch",
    "original",
    "slurp_properties",
]

#: What was patched: {name: True}, by monkey_patch()'s names.
already_patched: dict[str, Any] = {}

# Each name of monkey_patch()'s, and fibril's functions for it, in their usual order.
_PARTS: dict[str, tuple[Callable[[], Any], ...]] = {
    "os": (monkey.patch_os, monkey.patch_signal),
    "thread": (monkey.patch_thread, monkey.patch_queue),
    "time": (monkey.patch_time,),
    "socket": (monkey.patch_socket, monkey.patch_ssl),
    "select": (monkey.patch_select,),
    "subprocess": (monkey.patch_subprocess,),
    "MySQLdb": (),  # served with socket, when it is imported: see fibril.drivers
    "psycopg": (),  # likewise
    "builtins": (),  # eventlet's open() tells its hub of descriptors; fibril knows
}
_ON_REQUEST = ("MySQLdb", "builtins")
_EXCLUDED = "__name__ __file__ __path__ __spec__ __loader__ __package__ __doc__ __builtins__"
_LEFT_OUT = frozenset([*_EXCLUDED.split(), "__patched_module__", "__cached__"])


def monkey_patch(**on: Any) -> None:
    """Patch the standard library, so that what waits lets other greenthreads run.

    os, select, socket, subprocess, thread, time, psycopg: True patches only what is True; False
    all but what is False. all: what counts for what is not named. MySQLdb, builtins: on request.

    Switches: never. Threads: owner; call it first thing in the program. Raises TypeError for a name
    that is not there.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> import eventlet
    >>> eventlet.monkey_patch(time=True)
    >>> eventlet.patcher.is_monkey_patched("time")
    True
    """
    default = on.pop("all", None)
    for name in on:
        if name not in _PARTS:
            raise TypeError(
                f"monkey_patch() got an unexpected keyword argument {name!r}. It takes "
                f"{', '.join(_PARTS)} and all."
            )
    if default is None:
        default = True not in on.values()
    chosen = [name for name in _PARTS if on.get(name, bool(default) and name not in _ON_REQUEST)]
    for name in chosen:
        if name not in already_patched:
            for patch in _PARTS[name]:
                patch()
            if name == "thread":
                from . import green_threads  # above all else: what is patched is imported late

                green_threads.adopt()
            already_patched[name] = True


def is_monkey_patched(module: Any) -> bool:
    """Whether a module, or what monkey_patch() calls by that name, is patched.

    Switches: never. Threads: any.
    """
    return module in already_patched or getattr(module, "__name__", None) in already_patched


# ---- originals ----

_BENEATH = {"threading": ("_thread", "time"), "queue": ("threading", "_queue", "time")}


class _Original(ModuleType):
    """A module as it is without the patch, each name when it is asked for."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(f"__original_module_{module.__name__}", module.__doc__)
        self.__dict__["_module"] = module

    def __getattr__(self, name: str) -> Any:
        return original_in(self.__dict__["_module"], name)

    def __dir__(self) -> list[str]:
        return dir(self.__dict__["_module"])


def original(modname: str) -> ModuleType:
    """A module that blocks its native thread, as it does without the patch.

    Of threading and queue it is another one, whose threads are native.

    Switches: never. Threads: any. Raises ImportError.
    """
    name = f"__original_module_{modname}"
    if name not in sys.modules:
        if modname in _BENEATH:
            beneath = {each: original(each) for each in _BENEATH[modname]}
            sys.modules[name] = import_second(modname, beneath)
        else:
            sys.modules[name] = _Original(importlib.import_module(modname))
    return sys.modules[name]


def import_second(modname: str, beneath: dict[str, ModuleType]) -> ModuleType:
    """A module's source, run once more in a module of its own, with others beneath it.

    Switches: never. Threads: owner. Raises ImportError.
    """
    spec = importlib.util.find_spec(modname)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {modname!r} again: it has no source", name=modname)
    module = importlib.util.module_from_spec(spec)
    with _in_place(beneath):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _in_place(modules: dict[str, ModuleType]) -> Iterator[None]:
    """Other modules by these names, for what is imported meanwhile."""
    former = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in former.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


# ---- modules anew ----


def _green_modules() -> list[tuple[str, ModuleType]]:
    names = [
        "os",
        "select",
        "selectors",
        "socket",
        "ssl",
        "subprocess",
        "threading",
        "thread",
        "time",
        "Queue",
    ]
    stdlib = {"thread": "_thread", "Queue": "queue"}
    return [
        (stdlib.get(name, name), importlib.import_module(f"{__package__}.green.{name}"))
        for name in names
    ]


def inject(
    module_name: str,
    new_globals: dict[str, Any] | None,
    *additional_modules: tuple[str, ModuleType],
) -> ModuleType:
    """Import a module anew, with other modules beneath it, and put its names into new_globals.

    additional_modules: (name, module) for each; eventlet.green's if there is none. The module that
    others have imported stays as it is.

    Switches: never. Threads: owner. Raises ImportError.
    """
    beneath = dict(additional_modules or _green_modules())
    top = module_name.partition(".")[0]
    former = {
        name: module
        for name, module in sys.modules.items()
        if name == module_name or (name.startswith(f"{module_name}."))
    }
    for name in former:
        del sys.modules[name]
    parent, _, leaf = module_name.rpartition(".")
    attribute = getattr(sys.modules.get(parent), leaf, None) if parent else None
    try:
        with _in_place({name: module for name, module in beneath.items() if name != top}):
            module = importlib.import_module(module_name)
    finally:
        for name in [n for n in sys.modules if n == module_name or n.startswith(module_name + ".")]:
            del sys.modules[name]
        sys.modules.update(former)
        if attribute is not None:
            setattr(sys.modules[parent], leaf, attribute)
        elif parent:
            vars(sys.modules[parent]).pop(leaf, None)
    if new_globals is not None:
        slurp_properties(module, new_globals)
        new_globals["__patched_module__"] = module
    return module


def import_patched(
    module_name: str, *additional_modules: tuple[str, ModuleType], **kw_additional_modules: Any
) -> ModuleType:
    """Import a module anew, with eventlet.green's modules beneath it; returns it.

    Switches: never. Threads: owner. Raises ImportError.
    """
    more = (*additional_modules, *kw_additional_modules.items())
    return inject(module_name, None, *(more and (*_green_modules(), *more)))


def slurp_properties(
    source: ModuleType,
    destination: dict[str, Any],
    ignore: Any = (),
    srckeys: Any = None,
) -> None:
    """Put a module's names into a dict; those of how it was imported are left out.

    Switches: never. Threads: any.
    """
    for name in vars(source) if srckeys is None else srckeys:
        if name not in _LEFT_OUT and name not in ignore:
            destination[name] = vars(source)[name]
