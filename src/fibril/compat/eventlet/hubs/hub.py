"""eventlet.hubs.hub, served by fibril: timers and listeners on the hub of this native thread.

The idea: there is one hub, fibril's, whatever eventlet's is called. Greenthreads do not wait here;
this is for who wants to be called back, or switches by hand.

Invariants: `timers` and `listeners` keep what is still to be called, and nothing else.
Threads: the hub's own. Callbacks run in the hub, and must not wait.
Do not add: polling; fibril's hub asks the kernel.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import Any

import fibril
from fibril import _core
from fibril._core import getcurrent

from .timer import LocalTimer, Timer

__all__ = ["READ", "WRITE", "BaseHub", "FdListener", "IOClosed", "noop"]

READ, WRITE = "read", "write"
_EVENTS = {READ: 1, WRITE: 2}

#: May two greenthreads not wait for the same of one descriptor? See debug's function of that name.
g_prevent_multiple_readers = True


class IOClosed(OSError):
    """The descriptor that somebody waits for was closed, or is another one now."""

    def __init__(self) -> None:
        super().__init__(errno.ENOTCONN, "Operation on closed file")


def second_at(evtype: str, fileno: int) -> RuntimeError:
    """What is raised where one greenthread waits already."""
    return RuntimeError(
        f"Second simultaneous {evtype} on fileno {fileno} detected: another greenthread waits for "
        f"the same. Let one of them {evtype}, hold a Semaphore, or allow it by "
        "eventlet.debug.hub_prevent_multiple_readers(False)."
    )


def noop(*_: Any) -> None:
    """Do nothing."""


class FdListener:
    """cb(fileno) whenever a descriptor is ready; tb(error) if it is closed."""

    def __init__(
        self, evtype: str, fileno: int, cb: Callable[[int], Any], tb: Any, mark_as_closed: Any
    ) -> None:
        self.evtype, self.fileno, self.cb, self.tb = evtype, fileno, cb, tb
        self.mark_as_closed = mark_as_closed
        self.greenlet = getcurrent()
        self.spent = False  # removed: it will not be called any more
        self._watcher = fibril.get_hub().loop.io(fileno, _EVENTS[evtype])

    def __repr__(self) -> str:
        return f"FdListener({self.evtype!r}, {self.fileno!r}, {self.cb!r}, {self.tb!r})"

    __str__ = __repr__

    def start(self) -> None:
        """Begin to be called."""
        self._watcher.start(self._call)

    def _call(self) -> None:
        self.cb(self.fileno)

    def defang(self) -> None:
        """Never be called again."""
        self.spent = True
        self.cb = noop
        self._watcher.stop()
        if self.mark_as_closed is not None:
            self.mark_as_closed()


class BaseHub:
    """eventlet's face of this native thread's hub. Get it with hubs.get_hub().

    Switches: never, but for switch(). Threads: owner.
    """

    SYSTEM_EXCEPTIONS = (KeyboardInterrupt, SystemExit)
    READ, WRITE = READ, WRITE

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.clock = _core.now if clock is None else clock
        self.timers: set[Timer] = set()
        self.listeners: dict[str, dict[int, list[FdListener]]] = {READ: {}, WRITE: {}}
        self.debug_exceptions = True  # tell of what a callback raises
        self._main_waits = False  # the main fiber is in switch(): abort() ends that
        self.running = False  # somebody has been here since abort()

    @property
    def greenlet(self) -> _core.Hub:
        """The hub as a fiber."""
        return fibril.get_hub()

    # ---- timers ----

    def schedule_call_global(
        self, seconds: float, cb: Callable[..., Any], *args: Any, **kw: Any
    ) -> Timer:
        """Call cb(*args, **kw) in so many seconds, whatever becomes of the current greenthread."""
        return self.add_timer(Timer(seconds, cb, *args, **kw))

    def schedule_call_local(
        self, seconds: float, cb: Callable[..., Any], *args: Any, **kw: Any
    ) -> Timer:
        """Call cb(*args, **kw) in so many seconds, unless the current greenthread has ended."""
        return self.add_timer(LocalTimer(seconds, cb, *args, **kw))

    def add_timer(self, timer: Timer) -> Timer:
        """Have the hub call a timer in its time; returns it."""
        timer.scheduled_time = self.clock() + timer.seconds
        self.timers.add(timer)
        if timer.seconds > 0:
            timer._native = _core.Timer(self.greenlet, lambda _: self._fire(timer))
            timer._native.start(timer.seconds)
        else:  # in line with who is ready
            self.greenlet.call_soon(self._fire, timer)
        return timer

    def timer_canceled(self, timer: Timer) -> None:
        """A timer is not to be called any more."""
        self.timers.discard(timer)
        native, timer._native = timer._native, None
        if native is not None:
            native.cancel()

    def _fire(self, timer: Timer) -> None:
        self.timers.discard(timer)
        timer._native = None
        self._call_safely(timer, timer)

    def _call_safely(self, whose: object, call: Callable[[], Any]) -> None:
        try:
            call()
        except BaseException as error:
            if self.debug_exceptions or isinstance(error, self.SYSTEM_EXCEPTIONS):
                fibril.get_hub().handle_error(whose, *sys.exc_info())

    def get_timers_count(self) -> int:
        """How many timers are still to be called."""
        return len(self.timers)

    #: Of those that are kept: cancelled ones are not.
    timers_canceled = 0

    # ---- listeners ----

    def add(
        self, evtype: str, fileno: int, cb: Callable[[int], Any], tb: Any, mark_as_closed: Any
    ) -> FdListener:
        """Call cb(fileno) whenever the descriptor is ready to READ or WRITE, until remove().

        Raises RuntimeError if it is listened to already: see debug.hub_prevent_multiple_readers.
        """
        others = self.listeners[evtype].get(fileno)
        if others and g_prevent_multiple_readers:
            raise second_at(evtype, fileno)
        listener = FdListener(evtype, fileno, cb, tb, mark_as_closed)
        listener.start()  # it may refuse the descriptor
        self.listeners[evtype].setdefault(fileno, []).append(listener)
        return listener

    def remove(self, listener: FdListener) -> None:
        """Do not call a listener any more."""
        if listener.spent:
            return
        listener.spent = True
        listener._watcher.stop()
        of_kind = self.listeners[listener.evtype]
        left = [other for other in of_kind.get(listener.fileno, ()) if other is not listener]
        if left:
            of_kind[listener.fileno] = left
        else:
            of_kind.pop(listener.fileno, None)

    def remove_descriptor(self, fileno: int) -> None:
        """Remove all listeners of a descriptor, and call them once more."""
        for listener in self._listeners_of(fileno):
            self.remove(listener)
            listener.cb(fileno)

    def _listeners_of(self, fileno: int) -> list[FdListener]:
        return [one for kind in self.listeners.values() for one in kind.get(fileno, ())]

    def get_readers(self) -> list[FdListener]:
        """Who listens for what can be read."""
        return [one for each in self.listeners[READ].values() for one in each]

    def get_writers(self) -> list[FdListener]:
        """Who listens for what can be written."""
        return [one for each in self.listeners[WRITE].values() for one in each]

    def notify_close(self, fileno: int) -> None:
        """The descriptor is about to be closed: whoever waits for it gets IOClosed."""
        for listener in self._listeners_of(fileno):
            self.remove(listener)
            listener.defang()
            if listener.tb is not None:
                self.schedule_call_global(0, listener.tb, IOClosed())
        _core.fd_forget(fileno)

    def mark_as_reopened(self, fileno: int) -> None:
        """The descriptor is another file's now: the same."""
        self.notify_close(fileno)

    # ---- switching by hand ----

    def switch(self) -> Any:
        """Let others run until somebody switches back: a callback has to, or abort().

        Switches: always. Threads: owner.
        """
        hub = fibril.get_hub()
        self.running = True
        self._main_waits = getcurrent() is hub.main
        try:
            return hub.switch()
        finally:
            self._main_waits = False

    def ensure_greenlet(self) -> None:
        """Nothing: the hub is there."""

    def abort(self, wait: bool = False) -> None:
        """Whoever is the main greenthread, and has switched here, goes on.

        wait: let others run once before this returns; not in a callback.
        """
        self.running = False
        if self._main_waits:
            self.greenlet.call_soon(fibril.get_hub().main.switch)
        if wait:
            fibril.sleep(0)

    # ---- what is told ----

    def set_debug_listeners(self, value: bool) -> None:
        """Nothing: what fibril says of who waits has their stacks."""

    def set_timer_exceptions(self, value: bool) -> None:
        """Whether exceptions of timers and callbacks are told."""
        self.debug_exceptions = value
