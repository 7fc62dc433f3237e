"""gevent._util, served by fibril: those of gevent's own tools that programs have found there."""

import time
from collections.abc import Callable, Collection
from functools import cached_property as Lazy
from functools import update_wrapper
from typing import Any

__all__ = ["Lazy", "copy_globals", "gmctime", "readproperty", "update_wrapper"]


class readproperty:  # noqa: N801
    """A property that an attribute of the instance may stand before."""

    def __init__(self, func: Callable[[Any], Any]) -> None:
        self.func = func
        update_wrapper(self, func)  # type: ignore[arg-type]  # it is not called

    def __get__(self, inst: Any, class_: type | None = None) -> Any:
        return self if inst is None else self.func(inst)


def copy_globals(
    source: Any,
    globs: dict[str, Any],
    only_names: Collection[str] | None = None,
    ignore_missing_names: bool = False,
    names_to_ignore: Collection[str] = (),
    dunder_names_to_keep: Collection[str] = ("__implements__", "__all__", "__imports__"),
    cleanup_globs: bool = True,
) -> list[str]:
    """Copy a module's names into another's globals; which were copied."""
    found = vars(source)
    if only_names and not ignore_missing_names:
        found = {name: getattr(source, name) for name in only_names}
    wanted = [
        name
        for name in (found if only_names is None else only_names)
        if name in found
        and name not in names_to_ignore
        and (not name.startswith("__") or name in dunder_names_to_keep)
    ]
    globs.update({name: found[name] for name in wanted})
    if cleanup_globs:
        globs.pop("copy_globals", None)
    return wanted


def gmctime() -> str:
    """The time now, as RFC 3339 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
