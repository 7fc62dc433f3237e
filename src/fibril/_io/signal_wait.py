"""Waiting for signals: the calls of `signal`, which let other tasks run meanwhile.

The idea: a blocked signal stays pending until somebody takes it, and the kernel tells of it by a
descriptor, made for the wait (csrc/python/io/signal_wait.c). Taking it is the standard library's
call, which then need not wait. Of one that is handled tells whoever called the handler.
Do not add: masks; handlers.
"""

import os
import signal
from collections.abc import Iterable
from typing import Any

from fibril import _core
from fibril._builtin import builtin
from fibril._io.retry import Pauses
from fibril.timeout import Deadline

__all__ = ["pause", "sigtimedwait", "sigwait", "sigwaitinfo"]

_take = signal.sigtimedwait
_close = os.close
_Signals = Iterable[int]
_known = frozenset(int(number) for number in signal.Signals)


@builtin
def pause() -> None:
    """Wait until a signal handler of this thread's has been called, as signal.pause.

    Handlers are the main native thread's; in others it waits for ever.

    Switches: always. Threads: any.
    """
    hub = _core.get_hub()
    hub.keep(1)  # a signal that nobody handles would end the program
    try:
        _core.wait_signal()
    finally:
        hub.keep(-1)


@builtin
def sigtimedwait(sigset: _Signals, timeout: float, /) -> Any:
    """Wait for one of some blocked signals, as signal.sigtimedwait; None after `timeout` seconds.

    Switches: if it must wait. Threads: any. Raises ValueError for what is no signal or time.
    """
    signals = tuple(map(int, sigset))
    deadline = Deadline(timeout)
    found = _take(signals, min(timeout, 0))
    while found is None and _wait_for_one(signals, deadline):
        found = _take(signals, 0)
    return found


@builtin
def sigwaitinfo(sigset: _Signals, /) -> Any:
    """Wait for one of some blocked signals, as signal.sigwaitinfo.

    Switches: if it must wait. Threads: any. Raises ValueError for what is no signal.
    """
    signals = tuple(map(int, sigset))
    deadline = Deadline(None)
    while (found := _take(signals, 0)) is None:
        _wait_for_one(signals, deadline)
    return found


def _wait_for_one(signals: tuple[int, ...], deadline: Deadline) -> bool:
    """Until one may be pending: True; False at the deadline."""
    try:
        fd = _core.signal_fd(signals)
    except OSError:
        return _pause(deadline)  # no descriptor left
    try:
        return _core.wait_read(fd, deadline.remaining_s())
    finally:
        _core.fd_forget(fd)
        _close(fd)


def _pause(deadline: Deadline) -> bool:
    try:
        Pauses(deadline).wait()
    except TimeoutError:
        return False
    return True


def sigwait(sigset: _Signals) -> signal.Signals | int:
    """Wait for one of some blocked signals; its number, as signal.sigwait.

    Switches: if it must wait. Threads: any. Raises ValueError for what is no signal.
    """
    number = sigwaitinfo(sigset).si_signo
    return signal.Signals(number) if number in _known else int(number)
