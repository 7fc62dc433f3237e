"""ThreadPoolExecutor: concurrent.futures on native threads, also where `threading` is patched.

The idea: a patched program's own executors run tasks. This one hands its calls to a ThreadPool, and
its futures are the standard library's, with an event beside their condition: who waits for a result
waits for the event, which parks the task and not the thread.

Invariant: a future that is cancelled is taken out of the line at once, and whoever takes it out
tells those who wait in concurrent.futures.wait, so none of them is forgotten.
Do not add: a way to wait for several; fibril.wait and concurrent.futures.wait both work.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from concurrent.futures.thread import BrokenThreadPool
from typing import Any, ParamSpec, TypeVar

from fibril import _core, native
from fibril._typing import T
from fibril.dispatch.call import Call
from fibril.dispatch.threads import ThreadPool
from fibril.event import Linked

__all__ = ["Future", "ThreadPoolExecutor"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Future(Linked, futures.Future[T]):
    """A concurrent.futures.Future whose waits let other tasks run, and which fibril.wait() takes.

    Switches: never, except result and exception. Threads: any.
    """

    def __init__(self) -> None:
        super().__init__()
        self._event = _core.Event()
        self._withdraw: Callable[[], bool] = bool  # takes the call out of the line

    def _invoke_callbacks(self) -> None:  # the base class's last step to being done
        self._event.set()
        super()._invoke_callbacks()  # type: ignore[misc]

    def cancel(self) -> bool:
        """Take the call back; False if it has begun."""
        if not super().cancel():
            return False
        if self._withdraw():
            self.set_running_or_notify_cancel()  # else a thread has it, and does that
        return True

    def result(self, timeout: float | None = None) -> T:
        """Return what the call returns, or raise what it raises; wait for it if need be.

        timeout: seconds to wait at most.

        Switches: if it must wait. Raises TimeoutError; CancelledError if it was cancelled.
        """
        self._event.wait(timeout)
        try:
            return super().result(0)
        finally:
            del self  # what it raises has this frame, and we have that: no cycle

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raises, None if it does not; wait for it if need be.

        timeout: seconds to wait at most.

        Switches: if it must wait. Raises TimeoutError; CancelledError if it was cancelled.
        """
        self._event.wait(timeout)
        return super().exception(0)


class _Submitted(Call):
    """A call whose result is a future's."""

    __slots__ = ("_executor", "_future")
    _executor: Any
    _future: Any

    def begin(self, executor: ThreadPoolExecutor) -> Future:
        """The future to wait for."""
        self._executor = executor
        self._future = future = Future()
        future._withdraw = self._take_back
        return future

    def _take_back(self) -> bool:
        is_ours = self._pool._withdraw(self)
        if is_ours:
            self.let_go()
        return is_ours

    def _run(self) -> None:
        if self._future.set_running_or_notify_cancel():
            self._executor._begin_thread()
            super()._run()

    def _make(self) -> Any:
        # Asked again in the thread: submit() may have asked just before an initializer failed in
        # another one, and put the call in the line just after _fail_all() emptied that.
        if self._executor._broken:
            raise BrokenThreadPool(self._executor._broken)
        return super()._make()

    def succeed(self, value: Any) -> None:
        self._future.set_result(value)

    def fail(self, error: BaseException) -> None:
        self._future.set_exception(error)

    def cancel(self, error: BaseException) -> None:
        """The initializer has failed: no call can be made."""
        if self._future.set_running_or_notify_cancel():
            self._future.set_exception(error)
        self.let_go()

    def let_go(self) -> None:
        self._future = self._executor = None  # its exception has our frame, which has us: no cycle
        super().let_go()


class ThreadPoolExecutor(futures.ThreadPoolExecutor):
    """A concurrent.futures.ThreadPoolExecutor whose calls run on native threads in any case.

    Takes the same arguments. Threads start when they are needed. They are no threading.Thread, so
    thread_name_prefix names nothing, and unlike the standard library's they do not keep the process
    alive: call shutdown(), or use ``with``.

    A call sees the context variables of who submitted it.

    Switches: never, except shutdown. Threads: any.

    >>> from fibril.threadpool import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     executor.submit(pow, 2, 10).result(), list(executor.map(abs, [-1, -2]))
    (1024, [1, 2])
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(max_workers, thread_name_prefix, initializer, initargs)
        self._pool = ThreadPool(self._max_workers)
        self._start_thread = None if initializer is None else (initializer, initargs)
        self._begun = native.local()  # has an attribute in threads whose initializer was called
        self._broken: Any = False  # or why

    def submit(self, fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_R]:
        """Have fn(*args, **kwargs) called in a native thread; returns its future at once.

        Raises RuntimeError after shutdown(), BrokenThreadPool if the initializer has failed.
        """
        self._refuse_if_broken()
        call = _Submitted(self._pool, fn, args, kwargs)
        future = call.begin(self)
        try:
            self._pool._submit(call, _core.get_hub())
        except RuntimeError:
            if self._pool._workers.is_closed:
                raise RuntimeError("cannot schedule new futures after shutdown") from None
            raise
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; threads end when there are no more.

        wait: wait until all calls have ended, and all threads. cancel_futures: cancel those calls
        that have not begun.

        Switches: if it must wait. Raises RuntimeError if it shall wait in one of its own calls,
        which would wait for itself.
        """
        self._shutdown = True
        self._pool._workers.close()
        if cancel_futures:
            self._cancel_all()
        if wait:
            self._pool.join()
            self._pool._workers.wait_thread_count(0)

    kill = shutdown  # the name in gevent

    def _cancel_all(self) -> None:
        calls: Any = list(self._pool._calls)
        for call in calls:
            if (future := call._future) is not None:  # else it has ended since it was listed
                future.cancel()

    def _refuse_if_broken(self) -> None:
        if self._broken:
            raise BrokenThreadPool(self._broken)

    def _begin_thread(self) -> None:
        """In a native thread, before a call: call the initializer, if that has not been done."""
        if self._start_thread is None or hasattr(self._begun, "is_done"):
            return
        self._begun.is_done = True  # first: also one that fails is called once
        initializer, initargs = self._start_thread
        try:
            initializer(*initargs)
        except BaseException:
            futures._base.LOGGER.critical("Exception in initializer:", exc_info=True)
            self._fail_all("A thread initializer failed, the thread pool is not usable anymore")

    def _fail_all(self, why: str) -> None:
        self._broken = why  # first: who asks from now on puts nothing in the line
        for call in list(self._pool._calls):
            if self._pool._withdraw(call):
                call.cancel(BrokenThreadPool(why))
