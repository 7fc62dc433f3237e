"""Native threads that run what would block: fibers hand calls over and wait for the results.

The idea: `Workers` is a queue of jobs and as many native threads as it takes, up to a limit; it
knows nothing of fibers. `ThreadPool` adds what fibers want: a result to wait for.

Invariants: the threads are started by the interpreter's original primitive, so they stay native
under any patch, and nobody waits for them: they end after a while without work, and none keeps the
process alive.
Do not add: ways to stop a job that runs. A native thread cannot be interrupted.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from weft import _core, native
from weft.errors import FiberError
from weft.event import AsyncResult

__all__ = ["ThreadPool", "Workers"]

IDLE_S = 5.0  # a thread without work waits this long before it ends


class Workers:
    """Up to `threads_max` native threads that run jobs in the order they came.

    Switches: never. Threads: any.
    """

    def __init__(self, threads_max: int, idle_s: float = IDLE_S) -> None:
        self.threads_max = threads_max
        self.idle_s = idle_s
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = native.allocate_lock()
        self._jobs: native.SimpleQueue[Callable[[], object]] = native.SimpleQueue()
        self._spare = 0  # threads that wait, minus jobs that wait
        self.thread_count = 0

    def submit(self, job: Callable[[], object]) -> None:
        """Run `job` in one of the threads; it must not raise.

        Raises RuntimeError if there is no thread and none can be started.
        """
        if self._pid != os.getpid():
            self._begin()  # the threads stayed behind in the parent process
        with self._lock:
            self._spare -= 1
            is_short = self._spare < 0 and self.thread_count < self.threads_max
            self.thread_count += is_short
        if is_short:
            self._start_thread()
        self._jobs.put(job)

    def _start_thread(self) -> None:
        try:
            native.start_new_thread(self._work, (self._jobs, self._lock))
        except RuntimeError:
            with self._lock:
                self.thread_count -= 1
                if self.thread_count > 0:
                    return  # the others will come to it
                self._spare += 1
            raise

    def _work(self, jobs: Any, lock: Any) -> None:
        native.worker_threads.add(native.get_ident())
        try:
            while (job := self._next_job(jobs, lock)) is not None:
                job()
                del job
        finally:
            native.worker_threads.discard(native.get_ident())

    def _next_job(self, jobs: Any, lock: Any) -> Callable[[], object] | None:
        """The next job; None after a while without one, and then this thread is no longer counted.

        A thread whose wait is over may find that a job has just been counted on it: it takes it.
        """
        with lock:
            self._spare += 1
        while True:
            try:
                return _get_idle(jobs, self.idle_s)
            except native.Empty:
                if self._leave(lock):
                    return None

    def _leave(self, lock: Any) -> bool:
        with lock:
            if self._spare <= 0:
                return False
            self._spare -= 1
            self.thread_count -= 1
            return True


def _get_idle(jobs: Any, limit_s: float) -> Callable[[], object]:
    native.idle_threads.add(native.get_ident())
    try:
        return jobs.get(timeout=limit_s)  # type: ignore[no-any-return]
    finally:
        native.idle_threads.discard(native.get_ident())


class ThreadPool:
    """Runs functions in native threads; the calling task waits, and the others go on.

    maxsize: the most threads at once; further calls wait for their turn.

    Switches: if it must wait. Threads: any.

    >>> from weft.threadpool import ThreadPool
    >>> ThreadPool(2).apply(pow, (2, 10))
    1024
    """

    def __init__(self, maxsize: int, hub: object = None) -> None:
        if maxsize < 1:
            raise ValueError(
                f"cannot make a thread pool of {maxsize!r} threads: nothing would ever run. "
                "Give maxsize a number of at least 1."
            )
        self._workers = Workers(maxsize)
        self._lock = native.allocate_lock()
        self._unfinished = 0
        self._idle = _core.Event()
        self._idle.set()
        self._own_threads = native.local()

    @property
    def maxsize(self) -> int:
        """The most native threads at once; may be changed at any time."""
        return self._workers.threads_max

    @maxsize.setter
    def maxsize(self, count: int) -> None:
        self._workers.threads_max = count

    @property
    def size(self) -> int:
        """How many native threads there are now."""
        return self._workers.thread_count

    def __len__(self) -> int:
        return self._unfinished

    def spawn(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Have fn(*args, **kwargs) called in a native thread; returns its AsyncResult at once."""
        result = AsyncResult()
        hub = _core.get_hub()

        def job() -> None:
            self._own_threads.is_inside = True
            try:
                value = fn(*args, **kwargs)
            except BaseException as error:
                result.set_exception(error)
            else:
                result.set(value)
            try:
                hub.call_soon_threadsafe(hub.expect, -1)
            except FiberError:
                pass  # the thread that spawned it has ended
            self._count(-1)

        hub.expect(1)
        self._count(1)
        try:
            self._workers.submit(job)
        except BaseException:
            hub.expect(-1)
            self._count(-1)
            raise
        return result

    def _count(self, change: int) -> None:
        with self._lock:
            self._unfinished += change
            if self._unfinished == 0:
                self._idle.set()
            else:
                self._idle.clear()

    def apply(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwds: dict[str, Any] | None = None,
    ) -> Any:
        """Call fn(*args, **kwds) in a native thread and return what it returns, or raise.

        Inside a thread of this pool the function is called directly: to wait there for another of
        its threads could be for ever.
        """
        if getattr(self._own_threads, "is_inside", False):
            return fn(*args, **(kwds or {}))
        return self.spawn(fn, *args, **(kwds or {})).get()

    def map(self, fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        """[fn(item) for item in items], the calls in native threads, the results in order."""
        return [result.get() for result in [self.spawn(fn, item) for item in items]]

    def join(self, timeout: float | None = None) -> bool:
        """Wait until no call is unfinished; False if `timeout` seconds were over before."""
        return self._idle.wait(timeout)
