"""Functions of the standard library that are given a thread's identity, where that may be a task's.

The idea: they hand it to the C library, which takes it for a native thread's and may crash on any
other number. A task is reached through the native thread that carries it.

Do not add: functions of the standard library that only compare identities; they need no care.
"""

import errno
import os
import signal
import sys
import time

from fibril import _core
from fibril._builtin import builtin, unsigned_builtin
from fibril._hub.report import is_main

__all__ = ["ident_of", "pthread_getcpuclockid", "pthread_kill"]

_kill = signal.pthread_kill
_get_clock = time.pthread_getcpuclockid


@builtin
def pthread_kill(thread_id: int, signalnum: int, /) -> None:
    """Send a signal to the native thread, or to the one that carries the task, of that identity.

    Switches: never. Threads: any. Raises ProcessLookupError if there is none, and OSError.
    """
    _kill(_native(thread_id), signalnum)


@unsigned_builtin
def pthread_getcpuclockid(thread_id: int, /) -> int:
    """The clock of the CPU time of the native thread, or of the one that carries the task.

    Switches: never. Threads: any. Raises ProcessLookupError if there is none, and OSError.
    """
    return _get_clock(_native(thread_id))


def ident_of(fiber: _core.Fiber) -> int:
    """What get_ident() tells in that fiber.

    Switches: never. Threads: any.
    """
    if is_main(fiber):
        for native_ident, each, *_ in _core.all_fibers():
            if each is fiber:
                return native_ident
    return id(fiber)


def _native(ident: int) -> int:
    if ident in sys._current_frames():
        return ident
    for native_ident, fiber, *_ in _core.all_fibers():
        if id(fiber) == ident:
            return native_ident
    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
