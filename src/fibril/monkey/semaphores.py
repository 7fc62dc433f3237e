"""The semaphores of `multiprocessing`, shared with other processes: others run while one waits.

The idea: the semaphore is the kernel's, in memory that processes share, and nobody tells when
another process gives it back. So it is tried, and tried again after pauses, which grow from a tenth
of a millisecond to five; a task of this process that gives it back ends the pause. Where there is
nothing else to run, as in a process that does only this, the thread waits in the kernel, in short
turns.

The recursive one knows native threads. Of the tasks of this process only one may come to it, so
each has an RLock of ours before it, which knows tasks.
Do not add: what is built of them; that is the standard library's.
"""

from types import ModuleType
from typing import Any

from fibril import _core
from fibril._io.retry import Pauses
from fibril.libraries import when_imported
from fibril.lock import RLock
from fibril.thread import get_ident
from fibril.timeout import Deadline

__all__ = ["adopt"]

_FIRST_S, _MAX_S = 0.0001, 0.005
_TURN_S = 0.05  # for so long a thread with nothing else to do waits in the kernel at a time
_RECURSIVE = 0  # a semaphore's kind


def adopt() -> None:
    """Let tasks wait for such semaphores, once `multiprocessing` is imported.

    Switches: never. Threads: any; called once, by patch_thread.
    """
    when_imported("multiprocessing.synchronize", _adopt)


def _adopt(synchronize: ModuleType) -> None:
    names: Any = vars(synchronize)
    names["SemLock"]._make_methods = _make_methods
    names["SemLock"].__enter__ = _enter
    names["SemLock"].__exit__ = _exit


def _make_methods(self: Any) -> None:
    from multiprocessing.util import register_after_fork

    waiting = self._semlock = _Waiting(self._semlock)
    self.acquire, self.release = waiting.acquire, waiting.release
    register_after_fork(waiting, _Waiting.begin)


def _enter(self: Any) -> bool:
    return bool(self.acquire())


def _exit(self: Any, *unused: object) -> None:
    self.release()


class _Waiting:
    """How the tasks of this process wait for one of them; for all else it is that one."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self.begin()

    def begin(self) -> None:
        """Also in the child of a fork, whose tasks stayed in the parent.

        Switches: never. Threads: any.
        """
        self._before = RLock() if self._native.kind == _RECURSIVE else None
        self._given_back = _core.Event()
        self._owner = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._native, name)

    def _is_mine(self) -> bool:
        """Whether the task that asks has it; the semaphore knows only native threads."""
        return bool(self._owner == get_ident() and self._native._is_mine())

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it; False if it may not be waited for, or not any longer. `timeout`: seconds.

        Switches: if it must wait. Threads: any.
        """
        deadline = Deadline(None if timeout is None else max(timeout, 0))
        if self._before is not None and not self._before.acquire(block, deadline.remaining_s()):
            return False
        is_taken = False
        try:
            is_taken = self._take(block, deadline)
        finally:
            if self._before is not None and not is_taken:
                self._before.release()
        if is_taken:
            self._owner = get_ident()
        return is_taken

    def _take(self, block: bool, deadline: Deadline) -> bool:
        pauses = Pauses(deadline, _FIRST_S, _MAX_S)
        while not self._native.acquire(False):
            if not block:
                return False
            self._given_back.clear()
            try:
                pause_s = pauses.next_s()
            except TimeoutError:
                return False
            if _is_alone():
                if self._native.acquire(True, min(_TURN_S, deadline.remaining_s() or _TURN_S)):
                    return True
            else:
                self._given_back.wait(pause_s)
        return True

    def release(self) -> None:
        """Give it back.

        Switches: never. Threads: any. Raises ValueError if nobody has it, or AssertionError if
        another has the recursive one.
        """
        if self._before is not None and not self._before._is_owned():
            raise AssertionError("attempt to release recursive lock not owned by thread")
        self._native.release()
        self._given_back.set()
        if self._before is not None:
            self._before.release()


def _is_alone() -> bool:
    """Whether this thread has nothing to run, and nothing that it waits for, but the caller."""
    hub = _core.get_hub()
    statistics = hub.statistics()
    counts = ("fd_waiters", "timers", "expected", "kept")
    return not hub.has_ready() and not any(statistics[name] for name in counts)
