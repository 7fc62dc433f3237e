"""Pools of native threads: fibers hand calls over and wait for the results.

The idea: fibril.dispatch.workers runs jobs in native threads and knows nothing of fibers; a call
(fibril.dispatch.call) is such a job. A pool says how many of each there may be.

Invariant: who waits in one of a pool's own threads never waits for another of them: apply, offload
and map call the function at once there, and spawn has a place there even if none is free.
Do not add: what becomes of a call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar

from fibril import _core
from fibril.dispatch.call import Call, SpawnedCall, WaitedCall
from fibril.dispatch.mapping import GroupMappingMixin
from fibril.dispatch.workers import Allowance, Workers, renew_after_fork
from fibril.event import AsyncResult
from fibril.timeout import Deadline

__all__ = ["ThreadPool"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class ThreadPool(GroupMappingMixin):
    """Runs functions in native threads; the calling task waits, and the others go on.

    maxsize: the most threads at once; further calls wait for their turn. With 0 all wait until it
    is raised. hub: is told of exceptions of calls that were spawned; None: the hub of who spawned
    them. idle_task_timeout: seconds that a thread without work stays; -1 for ever, which is until
    the pool is killed or collected.

    Threads start when they are needed. gevent lets only the thread that made a pool use it and
    raises InvalidThreadUseError elsewhere; this one serves every thread. A pool without unfinished
    calls is false. In the child of a fork it begins anew, without the parent's calls.

    Switches: if it must wait. Threads: any. Raises ValueError for a negative maxsize.

    >>> from fibril.threadpool import ThreadPool
    >>> pool = ThreadPool(2)
    >>> pool.map(abs, [-1, 2, -3])
    [1, 2, 3]
    >>> pool.spawn(pow, 2, 10).get()
    1024
    """

    def __init__(self, maxsize: int, hub: Any = None, idle_task_timeout: float = -1) -> None:
        self._maxsize = _count(maxsize, "maxsize")
        self.hub = hub
        self._workers = Workers(maxsize, None if idle_task_timeout < 0 else idle_task_timeout)
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        self._calls: dict[Call, Any] = {}  # unfinished; whose hub expects their end, if one does
        self._room = Allowance(self._maxsize + 1)  # for calls that were spawned
        self._is_empty = _core.Event()  # set when the last call has finished

    def __del__(self, _is_ending: Callable[[], bool] = sys.is_finalizing) -> None:
        # Without workers __init__ has refused its arguments. At the interpreter's end modules are
        # empty, and idle threads end with it.
        if "_workers" in vars(self) and not _is_ending():
            self._workers.close()

    def __len__(self) -> int:
        return len(self._calls)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} at {id(self):#x} tasks={len(self)} size={self.size} "
            f"maxsize={self.maxsize}>"
        )

    # ---- how many ----

    @property
    def maxsize(self) -> int:
        """The most native threads at once. Fewer: those too many end after their call."""
        return self._maxsize

    @maxsize.setter
    def maxsize(self, count: int) -> None:
        change = _count(count, "maxsize") - self._maxsize
        self._maxsize = count
        self._room.change(change)
        self._workers.threads_max = count

    @property
    def size(self) -> int:
        """How many native threads there are now.

        Set to more, up to maxsize: they start now, and wait for work. To fewer: those that have no
        work end, and the setter waits until there are so few.
        """
        return self._workers.thread_count

    @size.setter
    def size(self, count: int) -> None:
        if _count(count, "size") > self._maxsize:
            raise ValueError(
                f"cannot have {count} threads in a pool of at most {self._maxsize}. Raise maxsize "
                "first."
            )
        self._workers.set_thread_count(count)
        if not self._is_own_worker():
            self._workers.wait_thread_count(count)

    def adjust(self) -> None:
        """Start threads for calls that wait, as far as maxsize allows. A pool does so by itself."""
        self._workers.adjust()

    def full(self) -> bool:
        """Whether spawn() would wait: maxsize + 1 spawned calls are unfinished.

        Switches: never. Threads: any.
        """
        return self.free_count() <= 0

    def free_count(self) -> int:
        """How many calls can be spawned without waiting.

        Switches: never. Threads: any.
        """
        return self._room.free.counter

    def wait_available(self, timeout: float | None = None) -> int:
        """Wait until spawn() need not wait, at most `timeout` seconds; the same as free_count().

        Switches: if it must wait. Threads: any.
        """
        return self._room.free.wait(timeout)

    # ---- calls ----

    def spawn(
        self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> AsyncResult[_R]:
        """Have fn(*args, **kwargs) called in a native thread; returns its AsyncResult.

        While maxsize + 1 spawned calls are unfinished it waits for one to end, but not in a thread
        of the pool. What the call raises is the result's, and is printed besides, as for a task.

        Switches: if it must wait. Threads: any. Raises RuntimeError if the pool was killed, or if
        no thread can be started.
        """
        if self._is_own_worker():
            self._room.take_anyway()
        else:
            self._room.acquire()
        try:
            call = SpawnedCall(self, fn, args, kwargs)
        except BaseException:
            self._room.give_back()
            raise
        result = call.begin()
        self._submit(call, _core.get_hub())
        return result

    def apply(
        self,
        func: Callable[..., _R],
        args: Iterable[Any] | None = None,
        kwds: dict[str, Any] | None = None,
    ) -> _R:
        """Call func(*args, **kwds) in a native thread and return what it returns, or raise.

        If all threads are busy it stands in line with the spawned calls. Inside a thread of this
        pool the function is called directly: to wait there for another of its threads could be for
        ever. A task that is killed meanwhile leaves the call as `fibril.offload` says.

        Switches: always, but in a thread of the pool. Threads: any. Raises RuntimeError as spawn().
        """
        args, kwds = tuple(args or ()), kwds or {}
        if self._is_own_worker():
            return func(*args, **kwds)
        call = WaitedCall(self, func, args, kwds)
        self._submit(call)
        return call.wait()  # type: ignore[no-any-return]

    def _apply_to_the_end(self, func: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """apply() for what uses memory or descriptors of the caller's: he waits for its end."""
        if self._is_own_worker():
            return func(*args)
        call = WaitedCall(self, func, args, {})
        self._submit(call)
        return call.wait_to_the_end()

    def imap(
        self, func: Callable[..., _R], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> Iterator[_R]:
        """As Group.imap(); in a thread of the pool, the builtin map().

        Switches: in next(), if it must wait. Threads: any.
        """
        if self._is_own_worker():
            return map(func, *iterables)
        return super().imap(func, *iterables, maxsize=maxsize)

    def imap_unordered(
        self, func: Callable[..., _R], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> Iterator[_R]:
        """As Group.imap_unordered(); in a thread of the pool, the builtin map().

        Switches: in next(), if it must wait. Threads: any.
        """
        if self._is_own_worker():
            return map(func, *iterables)
        return super().imap_unordered(func, *iterables, maxsize=maxsize)

    def _is_own_worker(self) -> bool:
        return self._workers.is_own_thread()

    def _must_apply_in_task(self) -> bool:
        return True  # gevent's apply_async() returns a task, and what spawn() returns is none

    @staticmethod
    def _call_back(callback: Callable[[Any], Any], result: Any) -> None:
        callback(result)

    def _submit(self, call: Call, hub: Any = None) -> None:
        """hub: expects its end; None: who waits sees to that, and may be killed before it ends."""
        if hub is not None:
            hub.expect(1)
        # Before it is in the line: a thread may make the call, and forget it, before our next step.
        # Listed after that, it would count as unfinished for ever.
        self._calls[call] = hub
        try:
            self._workers.submit(call)
        except BaseException:
            self._forget(call)
            call.let_go()
            raise
        # Looked at when the call is in the line: either kill() finds it there, or we see the kill.
        if self._workers.is_closed and self._withdraw(call):
            call.let_go()
            raise RuntimeError(
                f"cannot call anything in {self!r}: it was killed. Make another pool."
            )

    def _withdraw(self, call: Call) -> bool:
        """Take a call out of the line; False if it was not there: it runs, or has run."""
        is_ours = self._workers.withdraw(call)
        if is_ours:
            self._forget(call)
        return is_ours

    def _forget(self, call: Call) -> None:
        hub = self._calls.pop(call, None)  # None as well if this is a child that the call forked
        if not self._calls:
            self._is_empty.set()
        if hub is not None:
            _expect_no_more(hub)  # last: who waits for the call or the pool goes on before a join()

    # ---- the end ----

    def join(self, timeout: float | None = None) -> bool:
        """Wait until no call is unfinished; False if `timeout` seconds were over before.

        Switches: if it must wait. Threads: any. Raises RuntimeError in a call of this pool, which
        would wait for itself.
        """
        if self._calls and self._is_own_worker():
            raise RuntimeError(
                f"cannot join {self!r} in one of its own calls, which would wait for itself. Join "
                "it in the task that made the call."
            )
        return Deadline(timeout).wait_until(lambda: not self._calls, self._is_empty)

    def kill(self) -> None:
        """Take no more calls. Those that have not begun never will, and threads end without work.

        Who waits for a call that has not begun gets a concurrent.futures.CancelledError. Calls that
        run go on, and their results come; join() waits for them.

        Switches: never. Threads: any.
        """
        from concurrent.futures import CancelledError

        self._workers.close()
        for call in list(self._calls):
            if self._withdraw(call):
                call.cancel(CancelledError(f"{self!r} was killed before it began the call."))


def _expect_no_more(hub: Any) -> None:
    try:
        hub.expect(-1)
    except ValueError:
        pass  # the thread that handed the call in has ended, and expects nothing any more


def _count(number: Any, name: str) -> int:
    if not isinstance(number, int):
        raise TypeError(f"cannot make {name} {number!r}: it must be an integer.")
    if number < 0:
        raise ValueError(f"cannot make {name} {number!r}: it must not be negative.")
    return number
