"""What the `threading` of Python 3.14 and later needs beside 3.13's to have threads that are tasks.

The idea: there a thread gives its name to the native thread that it is. A task is none, and must
not rename the one that it runs on.
"""

import _thread
from typing import Any

from fibril._builtin import builtin
from fibril._core import current_fiber
from fibril.monkey import thread_3_13

__all__ = ["PATCHES", "adopt"]

_native_set_name: Any = vars(_thread).get("set_name")  # this is where it is missing: musl

PATCHES = thread_3_13.PATCHES
if _native_set_name is not None:
    PATCHES = [
        *PATCHES,
        ("_thread", "set_name", "fibril.monkey.thread_3_14", "set_name"),
        ("threading", "_set_name", "fibril.monkey.thread_3_14", "set_name"),
    ]


@builtin
def set_name(name: str) -> None:
    """Name the native thread, if its main fiber asks; the name of a task is the program's only.

    Switches: never. Threads: any.
    """
    if current_fiber().parent is None:
        _native_set_name(name)


def adopt() -> None:
    """As in 3.13, where the main thread kept its handle under another name.

    Switches: never. Threads: owner; called once, by patch_thread.
    """
    thread_3_13.adopt("_os_thread_handle")
