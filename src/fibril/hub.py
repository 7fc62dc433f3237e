"""The hub's Python half: errors that nobody caught, and dead ends explained.

The hub itself is native (hub.c decides who runs, hub_fiber.c runs callbacks). Here is what is
better said in Python: printing a task's traceback once, and sending KeyboardInterrupt and
SystemExit to the main fiber. What a dead end is told as is in fibril._hub.report.

Nothing here may block: it is called from the middle of the hub's work.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal as _signal
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from fibril import _core, native
from fibril._core import getcurrent, sleep
from fibril._hub import arrival, fairness, handlers  # noqa: F401  # they tell the core what to ask
from fibril._hub.loophub import LoopHub, after_fork, chosen_setting
from fibril._hub.report import describe, explain
from fibril._hub.standstill import Patience, set_standstill_limit
from fibril._hub.waiter import Waiter
from fibril._hub.watchdog import report_blocking, set_blocking_limit
from fibril.errors import (
    BlockingSwitchOutError,
    GreenletExit,
    HubDestroyed,
    InvalidSwitchError,
    LoopExit,
)
from fibril.signal import signal_handler as signal
from fibril.threadpool import default_pool

if TYPE_CHECKING:
    from fibril._hub.loop import Loop
    from fibril.threadpool import ThreadPool

__all__ = [
    "BlockingSwitchOutError",
    "GreenletExit",
    "Hub",
    "HubDestroyed",
    "InvalidSwitchError",
    "LoopExit",
    "Waiter",
    "get_hub",
    "get_hub_class",
    "get_hub_if_exists",
    "get_loop",
    "getcurrent",
    "set_blocking_limit",
    "idle",
    "set_default_hub_class",
    "set_hub",
    "set_standstill_limit",
    "signal",
    "sleep",
]

#: For fibril.testing: called as handle_error() is, with what it is about to print.
error_listeners: list[Callable[..., object]] = []

_SIM_HINT = (
    "In this simulated world nothing comes from outside: descriptors are ready when they are fed, "
    "and native threads\nand signals are waited for only where a wake-up is expected (Hub.expect)."
)


class _ThreadPoolClass:
    """Stands for the setting "threadpool" among Hub's attributes, until it is first asked for."""

    _class: type[ThreadPool] | None = None

    def __get__(self, hub: Hub | None, owner: type[Hub]) -> type[ThreadPool]:
        if self._class is None:
            from fibril.threadpool import ThreadPool

            self._class = chosen_setting("threadpool", "GEVENT_THREADPOOL") or ThreadPool
        return self._class


class Hub(LoopHub):
    """One per native thread: who is ready, who waits. Get it with get_hub().

    Switches: never. Threads: owner, except call_soon_threadsafe.
    """

    #: Not printed when a fiber dies of it: the last two are raised again in the main fiber.
    NOT_ERROR: tuple[type[BaseException], ...] = (GreenletExit, SystemExit, KeyboardInterrupt)
    #: Raised again in the main fiber.
    SYSTEM_ERROR: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit, SystemError)

    #: What makes the default pool of native threads, and how many it may have.
    threadpool_class: type[ThreadPool] = _ThreadPoolClass()  # type: ignore[assignment]
    threadpool_size = 10
    _threadpool: ThreadPool | None = None

    @property
    def threadpool(self) -> ThreadPool:
        """Native threads for what blocks, shared by all hubs; set it to give this hub its own."""
        own = self._threadpool
        return default_pool(self.threadpool_class, self.threadpool_size) if own is None else own

    @threadpool.setter
    def threadpool(self, pool: ThreadPool | None) -> None:
        self._threadpool = pool

    _stream: TextIO | str | None = "stderr"

    @property
    def exception_stream(self) -> TextIO | None:
        """Where tracebacks are printed: sys.stderr as it is now, unless set; None: nowhere."""
        return sys.stderr if isinstance(self._stream, str) else self._stream

    @exception_stream.setter
    def exception_stream(self, stream: TextIO | None) -> None:
        self._stream = stream

    def format_context(self, context: object) -> str:
        """What a report calls the task or callback that failed.

        Switches: never. Threads: owner.
        """
        return describe(context)

    def handle_error(
        self,
        context: object,
        type: type[BaseException],
        value: BaseException,
        tb: TracebackType | None,
    ) -> None:
        """An exception reached the end of `context`, a task or a callback.

        Switches: never. Threads: owner.
        """
        if not issubclass(type, self.NOT_ERROR):
            for tell in error_listeners:
                tell(context, type, value, tb)
            self.print_exception(context, type, value, tb)
        if context is None or issubclass(type, self.SYSTEM_ERROR):
            self.handle_system_error(type, value, tb)

    @staticmethod
    def _normalize_exception(typ: Any, value: Any, tb: Any) -> tuple[Any, Any, Any]:
        """For a class that overrides gevent's hub, and asks it before it looks at `value`."""
        if value is None or isinstance(value, str):
            value = typ() if value is None else typ(value)
        return typ, value, tb

    def handle_system_error(
        self, type: type[BaseException], value: BaseException, tb: TracebackType | None = None
    ) -> None:
        """An exception that is the main fiber's: raise it there, in whatever that waits for.

        Switches: never. Threads: owner.
        """
        if self.main.dead:  # it stayed in the parent process: see end_process
            self.end_process(_exit_status(value))
        _core.throw_later(self.main, value)

    def print_exception(
        self,
        context: object,
        t: type[BaseException],
        v: BaseException,
        tb: TracebackType | None,
    ) -> None:
        """Print the traceback, and below it whose it is.

        Switches: never. Threads: owner.
        """
        stream = self.exception_stream
        if stream is None:
            return
        lines = traceback.format_exception(t, v, tb)
        if tb is None:  # it failed before its first line: show the line that started it
            lines = _spawn_lines(context) + lines
        whose = "a callback" if context is None else self.format_context(context)
        lines.append(f"{whose} failed with {t.__name__}\n\n")
        stream.write("".join(lines))
        stream.flush()

    #: Called as report_blocking(fiber, seconds, frame) when a fiber keeps the thread for long, in
    #: the watchdog's native thread; may be overridden, and must not wait. See set_blocking_limit.
    report_blocking = staticmethod(report_blocking)

    def stalled(self) -> BaseException | float | None:
        """Nobody is ready and nothing can make anybody ready: the exception that says so.

        A number of seconds, after which to ask again, where something may still happen: a signal
        handler is installed, or a native thread runs that could set an event; None: no need to ask
        again, and where join() waited for this moment. If all threads wait in vain, each hub is
        told. In a simulated world signals and threads do not count.

        Switches: never. Threads: owner.
        """
        if self._tell_joiner():
            return None
        if self.poller == "sim":
            return LoopExit(f"{explain(self)}\n{_SIM_HINT}")
        if not native.is_dead_end(self, tell=False):  # the cheap question first
            return self._patience.next_s(self, False)
        if _may_be_woken_by_signal():
            return self._patience.next_s(self, True)
        if native.has_foreign_threads() or not native.is_dead_end(self, tell=True):
            return self._patience.next_s(self, False)
        return LoopExit(explain(self))

    @functools.cached_property
    def _patience(self) -> Patience:
        return Patience()

    def end_process(self, status: int = 0) -> NoReturn:
        """In the child of a fork nothing is left to run, or nothing that can go on.

        As when the last thread of a process returns: buffered output is written, and the process
        ends. Fibers that wait in vain are told of, and make the status 1.

        Switches: never. Threads: owner.
        """
        if self.parked():
            print(explain(self), file=sys.stderr)
            status = status or 1
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(status)


def get_hub() -> Hub:
    """Return the hub of this native thread; make it if there is none.

    Switches: never. Threads: any.
    """
    return _core.get_hub()  # type: ignore[return-value]


def get_hub_if_exists() -> Hub | None:
    """Return the hub of this native thread; None if it has none yet.

    Switches: never. Threads: any.
    """
    return _core.get_hub_if_exists()  # type: ignore[return-value]


def set_hub(hub: Hub) -> None:
    """Make an object of yours this native thread's hub, where it has none yet.

    For a class of your own in one thread; set_default_hub_class() is for all of them. To set the
    hub that the thread has is no error.

    Switches: never. Threads: owner. Raises RuntimeError if the thread has another one, TypeError
    for what is no hub.
    """
    _core.set_hub(hub)


def get_loop() -> Loop:
    """Return the loop of this native thread's hub.

    Switches: never. Threads: any.
    """
    return get_hub().loop


def idle(priority: int = 0) -> None:
    """Wait until the hub has nothing else to do: everybody is parked, and nothing is due.

    For work that shall not be in the way of anything. priority: of several that wait for this
    moment, the highest runs first, and the others at the next one.

    Switches: always. Threads: any.

    >>> import fibril
    >>> task = fibril.spawn(fibril.sleep)
    >>> fibril.idle()
    >>> task.dead
    True
    """
    _core.wait_idle(0, priority)


def get_hub_class() -> type[_core.Hub]:
    """Return the class that get_hub() makes instances of.

    Switches: never. Threads: any.
    """
    return _core.get_hub_class()


def set_default_hub_class(hubtype: type[Hub]) -> None:
    """From now on get_hub() makes instances of that class, where there is no hub yet.

    Switches: never. Threads: any. Raises TypeError for what does not derive from fibril.hub.Hub.
    """
    _core.set_hub_class(hubtype)


def _spawn_lines(context: object) -> list[str]:
    if not isinstance(context, _core.Task) or context.spawned_at is None:
        return []
    summary = traceback.FrameSummary(*context.spawned_at)
    return ["Traceback (most recent call last):\n", *traceback.format_list([summary])]


def _may_be_woken_by_signal() -> bool:
    """Has the program a handler of its own? Python's default for Ctrl-C does not count."""
    for number in _signal.valid_signals():
        handler = _signal.getsignal(number)
        if callable(handler) and handler is not _signal.default_int_handler:
            return True
    return False


def _exit_status(error: BaseException) -> int:
    """What the process's status would be if `error` ended its main thread."""
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


_core.set_hub_class(Hub)
atexit.register(_core.unwind_at_exit)
os.register_at_fork(after_in_child=after_fork)
