"""Modules that the program marks as never to be patched.

The idea: names that such a module has imported are the originals, whether it was imported before
the patch, which then passes it over, or after, when they are put back. If it is a module of the
standard library, nothing of it is replaced.

Do not add: modules that fibril itself must pass over; those are in rebind.py.
"""

import os
import sys
from types import ModuleType

from fibril.libraries import whenever_imported
from fibril.monkey.saved import originals

__all__ = ["all_kept", "is_kept", "keep"]

_names: set[str] = set()


def keep(*names: str) -> None:
    """Mark modules by their names as never to be patched; the modules of a package go with it.

    What such a module has imported by name (`from time import sleep`) is the original, and blocks
    all tasks of its thread; what it looks up when it is called (`time.sleep()`) is what the module
    `time` has then. A module of the standard library ("ssl") is left as it is, if it is not patched
    yet. The environment variable FIBRIL_KEEP has such names as well, with commas between them.
    `fibril doctor` lists them.

    Switches: never. Threads: any. Raises RuntimeError for a module of which names are replaced
    already: mark it before.

    >>> from fibril import monkey
    >>> monkey.keep("a_debugger")
    """
    for name in names:
        if originals(name):
            raise RuntimeError(
                f"cannot keep {name!r} as it is: it is patched already. Call fibril.monkey.keep() "
                "before the patch, or set FIBRIL_KEEP."
            )
    for name in names:
        if name not in _names:
            _names.add(name)
            whenever_imported(name, _put_back)
            whenever_imported(f"{name}.*", _put_back)
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and is_kept(name):
            _put_back(module)


def is_kept(name: str) -> bool:
    """Whether a module is marked, or a package that it lies in.

    Switches: never. Threads: any.
    """
    if not _names:
        return False
    parts = name.split(".")
    return any(".".join(parts[:count]) in _names for count in range(1, len(parts) + 1))


def all_kept() -> list[str]:
    """The names that are marked.

    Switches: never. Threads: any.
    """
    return sorted(_names)


def _put_back(module: ModuleType) -> None:
    """Give a module the originals of what it has imported by name."""
    found = originals()
    for name, value in list(vars(module).items()):
        replacement, original = found.get(id(value), (None, None))
        if replacement is value and value is not None:
            vars(module)[name] = original


keep(*(name.strip() for name in os.environ.get("FIBRIL_KEEP", "").split(",") if name.strip()))
