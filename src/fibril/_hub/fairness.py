"""Where a task that only polls may be made to give way, and where not: csrc has spin.h.

The idea: code between two waits counts on being alone, so a fair turn is given only to loops that
nothing else would end. What may run in the middle of anything must not let others in at all: an
import holds locks and half a module, a finalizer and a signal handler stand where somebody else's
statement does. They are found on the stack, which is looked at only when a turn is due: every 5 ms.

Switches: never. Threads: owner.
Do not add: places that merely would rather not be interrupted.
"""

import signal
import sys
from types import CodeType, FrameType
from typing import Any

from fibril import _core

__all__ = ["may_give_way"]

_IMPORTING = "<frozen importlib._bootstrap"


def may_give_way() -> bool:
    """Whether others may have a turn in the middle of what the current fiber does.

    Switches: never. Threads: owner.
    """
    handlers = _handlers()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename.startswith(_IMPORTING) or code in handlers:
            return False
        frame = frame.f_back
    return True


def _handlers() -> set[CodeType]:
    """The code of the program's signal handlers."""
    installed = map(signal.getsignal, signal.valid_signals())
    codes = (_code_of(handler) for handler in installed if callable(handler))
    return {code for code in codes if code is not None}


def _code_of(handler: Any) -> CodeType | None:
    function = getattr(handler, "__func__", handler)
    if not hasattr(function, "__code__"):
        function = getattr(type(handler), "__call__", None)  # noqa: B004  # of its class
    return getattr(function, "__code__", None)


_core.set_may_give_way(may_give_way)
