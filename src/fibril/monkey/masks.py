"""Which signals a thread blocks, and waiting for those, where threads are tasks.

The idea: a thread that blocks signals leaves them to the others. The native thread that carries the
tasks is often the only one, and its children begin with its mask: one task that blocked everything
would deafen the program and whatever it starts. So a task's mask is kept here, and the kernel is
not told; the main fiber of a native thread has that thread's.

The kernel tells of a blocked signal only who waits in it, so waiting is asking again after pauses.
Do not add: handlers. They are the main thread's.
"""

import signal
from collections.abc import Iterable
from typing import Any

from fibril._builtin import builtin
from fibril._core import current_fiber
from fibril._io.retry import Pauses
from fibril.local import local
from fibril.timeout import Deadline

__all__ = ["pthread_sigmask", "sigtimedwait", "sigwait", "sigwaitinfo"]

_native_mask, _native_wait = signal.pthread_sigmask, signal.sigtimedwait
_Signals = Iterable[int]


class _Mask(local):
    """A task's; it begins with that of the native thread that carries it."""

    def __init__(self) -> None:
        self.blocked = frozenset(_native_mask(signal.SIG_BLOCK, []))


_mask = _Mask()


@builtin
def pthread_sigmask(how: int, mask: _Signals, /) -> set[int]:
    """Block or unblock signals in this thread, which may be a task; what was blocked before.

    Switches: never. Threads: any. Raises ValueError for what is no signal, and OSError.
    """
    if current_fiber().parent is None:
        return set(_native_mask(how, mask))
    wanted = frozenset(signal.Signals(number) if number in _known else number for number in mask)
    if not wanted <= _all:
        bad = min(wanted - _all)
        raise ValueError(f"signal number {bad} out of range [1; {signal.NSIG - 1}]")
    before = _mask.blocked
    if how == signal.SIG_BLOCK:
        _mask.blocked = before | wanted
    elif how == signal.SIG_UNBLOCK:
        _mask.blocked = before - wanted
    elif how == signal.SIG_SETMASK:
        _mask.blocked = wanted
    else:
        return set(_native_mask(how, mask))  # which refuses
    return set(before)


_known = frozenset(int(number) for number in signal.Signals)
_all = frozenset(range(1, signal.NSIG))


@builtin
def sigtimedwait(sigset: _Signals, timeout: float, /) -> Any:
    """Wait for one of some blocked signals, as signal.sigtimedwait; None after `timeout` seconds.

    Switches: if it must wait. Threads: any. Raises ValueError for what is no signal or time.
    """
    signals = list(sigset)
    found = _native_wait(signals, min(timeout, 0))
    pauses = Pauses(Deadline(timeout))
    while found is None:
        try:
            pauses.wait()
        except TimeoutError:
            return None
        found = _native_wait(signals, 0)
    return found


@builtin
def sigwaitinfo(sigset: _Signals, /) -> Any:
    """Wait for one of some blocked signals, as signal.sigwaitinfo.

    Switches: if it must wait. Threads: any. Raises ValueError for what is no signal.
    """
    signals = list(sigset)
    pauses = Pauses(Deadline(None))
    while (found := _native_wait(signals, 0)) is None:
        pauses.wait()
    return found


@builtin
def sigwait(sigset: _Signals, /) -> signal.Signals | int:
    """Wait for one of some blocked signals; its number, as signal.sigwait.

    Switches: if it must wait. Threads: any. Raises ValueError for what is no signal.
    """
    number = sigwaitinfo(sigset).si_signo
    return signal.Signals(number) if number in _known else int(number)
