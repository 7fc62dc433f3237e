"""eventlet.green.threading, served by fibril: `threading`, whose threads are tasks.

The idea: once threads are patched it is the standard library's own. Until then it is another copy
of that, with what the patch would put into it.
"""

import importlib
import threading as _stdlib
from types import ModuleType
from typing import Any

from fibril import monkey as _monkey
from fibril.monkey.patches import PARTS as _PARTS

from ..patcher import import_second, slurp_properties


def _put(module: ModuleType, name: str, value: Any) -> None:
    owner: Any = module
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    setattr(owner, last, value)


def _found(line: Any) -> Any:
    value: Any = importlib.import_module(line.source)
    for part in line.source_name.split("."):
        value = vars(value)[part]
    return value


def _copy() -> ModuleType:
    beneath = ModuleType("_thread")
    vars(beneath).update(vars(importlib.import_module("_thread")))
    lines = [line for line in _PARTS["thread"] if line.module in ("_thread", "threading")]
    for line in lines:
        if line.module == "_thread":
            _put(beneath, line.name, _found(line))
    copy = import_second("threading", {"_thread": beneath})
    for line in lines:
        if line.module == "threading":
            _put(copy, line.name, _found(line))
    return copy


slurp_properties(
    _stdlib if _monkey.is_module_patched("threading") else _copy(),
    globals(),
)
__patched__ = ["Thread", "current_thread", "local"]
