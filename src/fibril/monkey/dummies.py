"""The Thread objects that `threading` makes for tasks which are no threads of its own.

The idea: whoever asks for the current thread gets a dummy, which `threading` keeps by its identity
until the native thread ends. For a task that is when the task ends; identities are used again. A
signal handler that has a fiber of its own gets none: it stands for the main thread.

Do not add: dummies that are made before somebody asks.
"""

import threading
import weakref
from functools import partial
from typing import Any

from fibril._core import Task, current_fiber, is_in_handler

__all__ = ["Dummy", "init_dummy"]

_init_dummy = threading._DummyThread.__init__


def init_dummy(self: Any) -> None:
    """`threading._DummyThread.__init__`, for an object that goes when its fiber goes.

    Switches: never. Threads: any.
    """
    _init_dummy(self)
    fiber = current_fiber()
    if isinstance(fiber, Task):
        fiber.rawlink(partial(_forget, self.ident))
    else:
        weakref.finalize(fiber, _forget, self.ident).atexit = False


class Dummy:
    """What of `threading._DummyThread` is replaced beside its beginning."""

    def __new__(cls) -> Any:
        """A dummy; the main thread for its signal handlers.

        Switches: never. Threads: any.
        """
        return threading.main_thread() if is_in_handler() else object.__new__(cls)


def _forget(ident: int, task: object = None) -> None:
    threading._active.pop(ident, None)  # type: ignore[attr-defined]
