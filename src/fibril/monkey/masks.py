"""Which signals a thread blocks, where threads are tasks.

The idea: a thread that blocks signals leaves them to the others. The native thread that carries the
tasks is often the only one, so a task that blocked everything would deafen the program. So a task's
mask is kept here, and the kernel is not told; the main fiber of a native thread has that thread's.

Whoever a task starts begins with its mask, as with a thread's: the native thread has it while a
process is made. In the child of a fork the task is the only thread, and its mask is the kernel's.
Do not add: handlers, which are the main thread's; waiting (fibril._io.signal_wait).
"""

import _posixsubprocess
import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

from fibril import _core, native
from fibril._builtin import builtin_like
from fibril._core import current_fiber
from fibril.local import local

__all__ = ["adopt", "fork_exec", "posix_spawn", "posix_spawnp", "pthread_sigmask"]

_native_mask = signal.pthread_sigmask
_Signals = Iterable[int]


class _Mask(local):
    """A task's; it begins with that of the native thread that carries it."""

    def __init__(self) -> None:
        self.blocked = frozenset(_native_mask(signal.SIG_BLOCK, []))


_mask = _Mask()


def pthread_sigmask(how: int, mask: _Signals) -> set[int]:
    """Block or unblock signals in this thread, which may be a task; what was blocked before.

    Switches: never. Threads: any. Raises ValueError for what is no signal, and OSError.
    """
    if _is_native():
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


def _is_native() -> bool:
    """Is the current fiber's mask the native thread's?"""
    fiber = current_fiber()
    return fiber.parent is None or fiber is _forked


_known = frozenset(int(number) for number in signal.Signals)
_all = frozenset(range(1, signal.NSIG))


# ---- whoever a task starts ----

_forked: _core.Fiber | None = None  # the task that went on in this process when it was forked
_lent: dict[int, list[Any]] = {}  # native thread → its own masks, while it has a task's


def _lend() -> None:
    """The native thread has the task's mask from now on."""
    former = None if _is_native() else _native_mask(signal.SIG_SETMASK, _mask.blocked)
    _lent.setdefault(native.get_ident(), []).append(former)


def _take_back() -> None:
    masks = _lent[native.get_ident()]
    former = masks.pop()
    if not masks:
        del _lent[native.get_ident()]
    if former is not None:
        _native_mask(signal.SIG_SETMASK, former)


def _keep() -> None:
    """In the child of a fork: the mask that was lent is its own."""
    global _forked
    if not _is_native():
        _forked = current_fiber()
    _lent.clear()


def adopt() -> None:
    """Look out for forks.

    Switches: never. Threads: any; called once, by patch_thread.
    """
    os.register_at_fork(before=_lend, after_in_parent=_take_back, after_in_child=_keep)


def _lending(make: Callable[..., int]) -> Callable[..., int]:
    """What makes a process, which then begins with the caller's mask."""

    def make_process(*args: Any, **kwargs: Any) -> int:
        _lend()
        try:
            return make(*args, **kwargs)
        finally:
            _take_back()

    made: Callable[..., int] = builtin_like(make, make_process)
    return made


fork_exec = _lending(_posixsubprocess.fork_exec)
posix_spawn = _lending(os.posix_spawn)
posix_spawnp = _lending(os.posix_spawnp)
