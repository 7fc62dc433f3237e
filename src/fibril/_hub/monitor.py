"""Functions that look at a hub now and then, from outside: gevent's periodic monitoring thread.

The idea: a native thread sleeps until the next function is due, and calls it with the hub. It sees
a hub that is kept by one fiber as well as one that sleeps. That a fiber keeps its thread need not
be looked for here: fibril's watchdog does so always.

Invariant: the thread counts as one that wakes nobody, so a dead end is told all the same.
Threads: any; the functions run in the monitor's own, and must be quick: others wait for them.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

from fibril import _core, native
from fibril._hub import memory
from fibril.dispatch.workers import Workers, renew_after_fork

__all__ = ["PeriodicMonitor"]

Function = Callable[[Any], Any]


class PeriodicMonitor:
    """Calls functions with a hub, each in its period; get it by start_periodic_monitoring_thread().

    It ends with the hub, and begins anew in the child of a fork.

    Switches: never. Threads: any.

    >>> import fibril
    >>> from fibril.event import Event
    >>> seen = Event()
    >>> monitor = fibril.get_hub().start_periodic_monitoring_thread()
    >>> monitor.add_monitoring_function(lambda hub: seen.set(), 0.01)
    >>> seen.wait(10)
    True
    >>> monitor.kill()
    """

    def __init__(self, hub: _core.Hub) -> None:
        self._hub = weakref.ref(hub)
        self._memory = memory.MemoryWatch()
        self._due: dict[Function, tuple[float, float]] = {}  # period, and when it is called next
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        self._workers = Workers(1)  # those of the parent process are not here
        self._bell = native.allocate_lock()  # released: look again
        self._bell.acquire()
        self._is_running = False
        if self._due:
            self._start()

    def _start(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._workers.submit(self._run)

    def add_monitoring_function(self, function: Function, period: float | None) -> None:
        """Call function(hub) every `period` seconds; None: do not call it any more.

        What it raises is printed, and it is called again.

        Switches: never. Threads: any. Raises ValueError for a period that is not positive.
        """
        if not callable(function):
            raise ValueError(f"cannot call {function!r} now and then: it is not callable")
        if period is None:
            self._due.pop(function, None)
        elif period > 0:
            self._due[function] = (period, time.monotonic() + period)
            self._start()
        else:
            raise ValueError(f"cannot call {function!r} every {period!r} seconds")
        self._ring()

    def monitoring_functions(self) -> list[Function]:
        """Return the functions that are called.

        Switches: never. Threads: any.
        """
        return list(self._due)

    def can_monitor_memory_usage(self) -> bool:
        """Whether the system tells how much memory the process uses; it does.

        Switches: never. Threads: any.
        """
        return True

    def install_monitor_memory_usage(self) -> None:
        """Look now and then whether the process uses more memory than it may.

        What it may, and the seconds between two looks: memory.max_bytes, memory.period_s, which
        `fibril.config.config` sets. Events tell of it.

        Switches: never. Threads: any.
        """
        period_s = max(memory.period_s, memory.PERIOD_MIN_S)
        self.add_monitoring_function(self.monitor_memory_usage, period_s)

    def monitor_memory_usage(self, hub: Any = None) -> Any:
        """Look now; the event that subscribers were given, or None.

        Switches: never. Threads: any.
        """
        return self._memory.look()

    def ignore_current_greenlet_blocking(self) -> None:
        """Do not report that the current fiber keeps its thread, until it next gives way.

        Switches: never. Threads: owner.
        """
        _core.watchdog_ignore(True)

    def monitor_current_greenlet_blocking(self) -> None:
        """Undo ignore_current_greenlet_blocking().

        Switches: never. Threads: owner.
        """
        _core.watchdog_ignore(False)

    def kill(self) -> None:
        """Call nothing any more; the thread ends.

        Switches: never. Threads: any.
        """
        self._due.clear()
        self._ring()

    def _ring(self) -> None:
        try:
            self._bell.release()
        except RuntimeError:
            pass  # it is ringing

    # ---- in the thread ----

    def _run(self) -> None:
        while (delay_s := self._call_due()) is not None:
            self._sleep(delay_s)
        self._is_running = False
        if self._due and self._hub() is not None:
            self._start()  # one was added just now

    def _call_due(self) -> float | None:
        """Call what is due. Returns the seconds until the next, None if there is none."""
        for function, (period, due) in list(self._due.items()):
            if due <= time.monotonic() and function in self._due:
                self._due[function] = (period, time.monotonic() + period)
                self._call(function)
        if not self._due or self._hub() is None:
            return None
        return max(0.0, min(due for _, due in list(self._due.values())) - time.monotonic())

    def _call(self, function: Function) -> None:
        hub = self._hub()
        if hub is None:
            return
        try:
            function(hub)
        except BaseException:  # whatever it is, nobody else is there to see it
            sys.excepthook(*sys.exc_info())

    def _sleep(self, seconds: float) -> None:
        native.idle_threads.add(native.get_ident())
        try:
            self._bell.acquire(timeout=min(seconds, 3600.0))
        finally:
            native.idle_threads.discard(native.get_ident())
