"""Where a task that only polls may be made to give way, and where not: csrc has spin.h.

The idea: code between two waits counts on being alone, so a fair turn is given only to loops that
nothing else would end. What may run in the middle of anything must not let others in at all: an
import holds locks and half a module, a finalizer stands where somebody else's statement does. They
are found on the stack, which is looked at only when a turn is due: every 5 ms. (Tracers and signal
handlers, of which the same is true, are known to the core.)

Switches: never. Threads: owner.
Do not add: places that merely would rather not be interrupted.
"""

import sys

from fibril import _core

__all__ = ["may_give_way"]

_IMPORTING = "<frozen importlib._bootstrap"


def may_give_way() -> bool:
    """Whether others may have a turn in the middle of what the current fiber does.

    Switches: never. Threads: owner.
    """
    frame = sys._getframe().f_back  # None: a task that runs a function of C
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename.startswith(_IMPORTING):
            return False
        frame = frame.f_back
    return True


_core.set_may_give_way(may_give_way)
