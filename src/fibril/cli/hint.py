"""What a program is told that imports gevent or greenlet, and was not run with --gevent.

The idea: a finder at the front of `sys.meta_path` sees the import before it fails, or before it
finds the real gevent, which would schedule beside fibril: whoever waits by one of the two keeps all
tasks of the other. A library that only tries the import, and does without, does without here too.

Invariant: who only asks whether there is such a module (find_spec) gets the answer that there is.
Do not add: hints for other libraries.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from fibril import compat

__all__ = ["install"]


class _Finder:
    """Finds nothing, and says why."""

    def __init__(self, program: str, is_patched: bool) -> None:
        self.program, self.is_patched = program, is_patched

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in compat.NAMES or not compat.is_importing():
            return None
        spec = PathFinder.find_spec(name)
        is_there = spec is not None and spec.has_location  # no folder left over by an uninstall
        if is_there and not (name == "gevent" and self.is_patched):
            return None
        why = (
            "it would schedule beside fibril, which has patched the standard library"
            if is_there
            else "it is not installed"
        )
        option = "--eventlet" if name == "eventlet" else "--gevent"
        raise ModuleNotFoundError(
            f"cannot import {name!r}: {why}. To have fibril serve it, run the program by "
            f"`fibril run {option} {self.program}`.",
            name=name,
        )


def install(program: str, *, is_patched: bool) -> None:
    """From now on an import of gevent or greenlet that cannot go well says what to do.

    program: what would come after `fibril run --gevent`. is_patched: whether the standard library
    will be.

    Switches: never. Threads: any.
    """
    sys.meta_path.insert(0, _Finder(program, is_patched))
