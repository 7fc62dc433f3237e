"""Locks: who must wait gives way to others, and is served in order.

All but Condition and DummySemaphore are native (csrc/python/primitives, a file for each type).

Condition: each who waits has an event of its own in an ordered dict, so the first in is the first
told, and who gives up leaves in O(1). A notification belongs to one waiter: if that one is killed
before it ran, it goes on to the next, so none is lost. And a waiter has the lock again when
wait() ends, however it ends: an exception that comes while it waits for the lock is raised after.
Who gives up does so without the lock, in any native thread: so each use of the dict is one step.

Do not add: a second way to wait for a condition. wait_for is a loop of wait.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fibril._core import BoundedSemaphore, Event, RLock, Semaphore, get_hub
from fibril.errors import BlockingSwitchOutError, LoopExit
from fibril.timeout import Deadline

__all__ = ["BoundedSemaphore", "Condition", "DummySemaphore", "RLock", "Semaphore"]


class Condition:
    """threading.Condition for fibers: wait() until another has called notify().

    lock: an RLock, the default, or anything with acquire() and release() that one fiber holds.

    Switches: if it must wait. Threads: any.

    >>> import fibril
    >>> from fibril.lock import Condition
    >>> changed, items = Condition(), []
    >>> def take():
    ...     with changed:
    ...         changed.wait_for(lambda: items)
    ...         return items.pop()
    >>> task = fibril.spawn(take)
    >>> fibril.sleep(0)
    >>> with changed:
    ...     items.append("one")
    ...     changed.notify()
    >>> task.get()
    'one'
    """

    def __init__(self, lock: Any = None) -> None:
        self._lock = RLock() if lock is None else lock
        self._waiters: OrderedDict[Event, None] = OrderedDict()
        self.acquire: Callable[..., bool] = self._lock.acquire
        self.release: Callable[[], Any] = self._lock.release

    def __enter__(self) -> Any:
        return self._lock.__enter__()

    def __exit__(self, *exc_info: Any) -> Any:
        return self._lock.__exit__(*exc_info)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} of {self._lock!r}, {len(self)} waiting>"

    def __len__(self) -> int:
        return len(self._waiters)

    def __bool__(self) -> bool:
        return True

    def wait(self, timeout: float | None = None) -> bool:
        """Give up the lock, wait to be notified, take the lock again: True; False: not in time.

        timeout: seconds to wait at most, None for ever; taking the lock again may take longer.

        Switches: always. Threads: any. Raises RuntimeError if the lock is not held.
        """
        self._check("wait")
        waiter = Event()
        # Before the lock is given up: who takes it then, and notifies, must find us.
        self._waiters[waiter] = None
        saved = self._give_up()
        try:
            return waiter.wait(timeout) or not self._leave(waiter)
        except BaseException:
            if not self._leave(waiter):
                self._tell(1)  # we were told, and struck before we ran: it is the next one's
            raise
        finally:
            self._take_again(saved)

    def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
        """wait() until predicate() is true; return what it returned last.

        timeout: seconds to wait at most, in all.

        Switches: if it must wait. Threads: any. Raises RuntimeError if the lock is not held.
        """
        deadline = Deadline(timeout)
        while not (result := predicate()):
            if not self.wait(deadline.remaining_s()):
                return predicate()  # once more: the lock was free meanwhile, and it may be true now
        return result

    def notify(self, n: int = 1) -> None:
        """Wake the `n` that have waited longest, or all if they are fewer.

        Switches: never. Threads: any. Raises RuntimeError if the lock is not held.
        """
        self._check("notify")
        self._tell(n)

    def notify_all(self) -> None:
        """Wake everybody who waits.

        Switches: never. Threads: any. Raises RuntimeError if the lock is not held.
        """
        self.notify(len(self._waiters))

    def _tell(self, count: int) -> None:
        for _ in range(count):
            try:
                waiter, _none = self._waiters.popitem(last=False)
            except KeyError:
                return  # no more: those of other native threads may leave at any time
            waiter.set()

    def _leave(self, waiter: Event) -> bool:
        """Whether it was still waiting to be told. Who is not in the dict has been chosen for it,
        though another native thread may not have come to set its event yet.
        """
        return self._waiters.pop(waiter, False) is None

    # ---- the lock ----

    def _check(self, verb: str) -> None:
        if not self._is_held():
            raise RuntimeError(
                f"cannot {verb}: this fiber does not hold the lock of {self!r}. "
                "Do it inside `with condition:`."
            )

    def _is_held(self) -> bool:
        if hasattr(self._lock, "_is_owned"):
            return bool(self._lock._is_owned())
        return bool(self._lock.locked())  # who holds it, it cannot say

    def _give_up(self) -> Any:
        if hasattr(self._lock, "_release_save"):
            return self._lock._release_save()
        return self._lock.release()

    def _take_again(self, saved: Any) -> None:
        """Whatever strikes meanwhile comes when the lock is ours; a dead end has no meanwhile."""
        struck: BaseException | None = None
        is_ours = False
        while not is_ours:
            try:
                self._take(saved)
                is_ours = True
            except (LoopExit, BlockingSwitchOutError):
                raise
            except BaseException as error:
                struck = error
        if struck is not None:
            try:
                raise struck
            finally:
                del struck  # it has this frame now: no cycle

    def _take(self, saved: Any) -> None:
        if hasattr(self._lock, "_acquire_restore"):
            self._lock._acquire_restore(saved)
        else:
            self._lock.acquire()


class DummySemaphore:
    """Looks like a Semaphore and never makes anybody wait: for where a limit is optional.

    Switches: never. Threads: any.

    >>> from fibril.lock import DummySemaphore
    >>> DummySemaphore().acquire()
    True
    """

    def __init__(self, value: object = None) -> None:
        self.counter = value

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Return True.

        Switches: never. Threads: any.
        """
        return True

    def release(self) -> None:
        """Do nothing.

        Switches: never. Threads: any.
        """

    def locked(self) -> bool:
        """Return False.

        Switches: never. Threads: any.
        """
        return False

    def ready(self) -> bool:
        """Return True.

        Switches: never. Threads: any.
        """
        return True

    def wait(self, timeout: float | None = None) -> int:
        """Return 1: a permit is free.

        Switches: never. Threads: any.
        """
        return 1

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """Have this thread's hub call callback(self) soon: it is ready.

        Switches: never. Threads: any.
        """
        get_hub().call_soon(callback, self)

    def unlink(self, callback: Callable[[Any], Any]) -> None:
        """Do nothing: no link lasts.

        Switches: never. Threads: any.
        """

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *unused: Any) -> None:
        return None
