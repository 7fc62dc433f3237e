"""`hub.loop`: the names of gevent's loop, for libraries that use them.

The idea: fibril has no loop. The fiber that parks picks the next one, or asks the kernel itself.
What libraries want of gevent's loop is to be called back in the hub, and that is what
fibril._hub.watcher has; here are the factories, and for each control of libev's either what it
means for fibril's hub, or nothing, with the reason.

Invariant: `active` holds every active watcher, so that one that nobody else keeps still calls back.
Threads: the hub's own, but for run_callback_threadsafe.
Do not add: what fibril itself would use; the hub's own methods are shorter.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from fibril import _core
from fibril._hub.turns import Turns
from fibril._hub.watch_child import ChildWatcher
from fibril._hub.watch_signal import SignalWatcher
from fibril._hub.watch_stat import StatWatcher
from fibril._hub.watch_turn import (
    AsyncWatcher,
    CheckWatcher,
    ForkWatcher,
    IdleWatcher,
    PrepareWatcher,
)
from fibril._hub.watcher import IOWatcher, TimerWatcher, Watcher

__all__ = ["Callback", "Loop", "backends", "version"]

# By which libev knows its pollers.
_LIBEV_NUMBERS = {"epoll": 4}


def version() -> str:
    """Which loop this is, where gevent says which libev.

    Switches: never. Threads: any.
    """
    import fibril

    return f"fibril-{fibril.__version__}"


def backends() -> list[str]:
    """The names of what a hub may ask the kernel by.

    Switches: never. Threads: any.
    """
    return list(_LIBEV_NUMBERS)


class ErrorHandler(Protocol):
    """Whoever is told of errors in callbacks: a hub."""

    def handle_error(self, context: Any, type: Any, value: Any, tb: Any) -> None:
        """An error reached the end of `context`."""


class Callback:
    """What run_callback() returns: fn(*args) that the hub will call, unless stopped before.

    True until it has run or was stopped; `pending` until it begins to run.

    Switches: never. Threads: owner.
    """

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., Any] | None = callback
        self.args: tuple[Any, ...] | None = args

    def stop(self) -> None:
        """Do not call it."""
        self.callback = self.args = None

    close = stop

    @property
    def pending(self) -> bool:
        """Neither called nor stopped."""
        return self.callback is not None

    def __bool__(self) -> bool:
        return self.args is not None

    def __repr__(self) -> str:
        state = f"{self.callback!r} args={self.args!r}" if self else "stopped"
        return f"<callback at {id(self):#x} {state}>"


class Loop:
    """gevent's loop as fibril's hub can be it. Get it as ``fibril.get_hub().loop``.

    To make another is to have other watchers of the same hub, which destroy() stops. flags, ptr:
    for gevent's sake. default: whether it says that it is the main thread's.

    Switches: never, but for run(). Threads: owner, but for run_callback_threadsafe.

    >>> import fibril
    >>> loop = fibril.get_hub().loop
    >>> callback = loop.run_callback(print, "from the hub")
    >>> fibril.sleep(0)
    from the hub
    """

    MAXPRI, MINPRI = 2, -2
    approx_timer_resolution = 0.00001

    def __init__(
        self,
        flags: object = None,
        default: bool | None = None,
        ptr: object = None,
        *,
        hub: _core.Hub | None = None,
    ) -> None:
        current: Any = _core.get_hub()  # of whatever class; all have it from LoopHub
        self.hub: _core.Hub = current if hub is None else hub
        self._is_default = default
        self._is_destroyed = False
        self.active: set[Watcher] = set()
        self.turns: Turns = current.loop.turns if hub is None else Turns(hub)
        #: Its handle_error is told of errors in callbacks: the hub, unless set.
        self.error_handler: ErrorHandler | None = None
        self._balance = 0  # ref() less unref(), for the hub of a forked child, which begins with 0

    # ---- factories ----

    def io(self, fd: int, events: int, ref: bool = True, priority: int | None = None) -> IOWatcher:
        """Calls back while the descriptor can be read (events=1), written (2), or either (3)."""
        return IOWatcher(self, fd, events, ref, priority)

    def timer(
        self, after: float, repeat: float = 0.0, ref: bool = True, priority: int | None = None
    ) -> TimerWatcher:
        """Calls back after that many seconds, and then each `repeat` seconds unless that is 0."""
        return TimerWatcher(self, after, repeat, ref, priority)

    def signal(self, signum: int, ref: bool = True, priority: int | None = None) -> SignalWatcher:
        """Calls back when the process gets that signal; in the main thread only."""
        return SignalWatcher(self, signum, ref, priority)

    def idle(self, ref: bool = True, priority: int | None = None) -> IdleWatcher:
        """Calls back when there is nothing else to do."""
        return IdleWatcher(self, ref, priority)

    def prepare(self, ref: bool = True, priority: int | None = None) -> PrepareWatcher:
        """Calls back before the hub asks the kernel what is ready."""
        return PrepareWatcher(self, ref, priority)

    def check(self, ref: bool = True, priority: int | None = None) -> CheckWatcher:
        """Calls back after the hub has asked the kernel what is ready."""
        return CheckWatcher(self, ref, priority)

    def fork(self, ref: bool = True, priority: int | None = None) -> ForkWatcher:
        """Calls back in the child of a fork."""
        return ForkWatcher(self, ref, priority)

    def async_(self, ref: bool = True, priority: int | None = None) -> AsyncWatcher:
        """Calls back when anybody, in any thread, calls its send()."""
        return AsyncWatcher(self, ref, priority)

    def child(self, pid: int, trace: int = 0, ref: bool = True) -> ChildWatcher:
        """Calls back when that child process has ended. `trace` is for gevent's sake."""
        return ChildWatcher(self, pid, trace, ref)

    def stat(
        self,
        path: str | bytes,
        interval: float = 0.0,
        ref: bool = True,
        priority: int | None = None,
    ) -> StatWatcher:
        """Calls back when what os.stat() tells of the path has changed."""
        return StatWatcher(self, path, interval, ref, priority)

    # ---- callbacks ----

    def run_callback(self, func: Callable[..., Any], *args: Any) -> Callback:
        """Have the hub call func(*args) soon; what is returned can stop() that."""
        callback = Callback(func, args)
        self.hub.call_soon_threadsafe(self._run, callback)
        return callback

    #: The same: the hub may always be told from another thread.
    run_callback_threadsafe = run_callback

    def _run(self, callback: Callback) -> None:
        func, args = callback.callback, callback.args
        callback.callback = None
        if func is None or args is None:
            return
        try:
            func(*args)
        except BaseException:  # whatever it is, the handler knows where it belongs
            self.handle_error(callback, *sys.exc_info())
        finally:
            callback.args = None

    def handle_error(
        self,
        context: object,
        type: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """A callback has failed: tell `error_handler`, or the hub."""
        handler: Any = self.hub if self.error_handler is None else self.error_handler
        try:
            handler.handle_error(context, type, value, tb)
        except BaseException as error:  # a handler that fails must not take the other's report away
            traceback.print_exception(value)
            if not isinstance(error, Exception):
                raise
            traceback.print_exception(error)

    # ---- time ----

    def now(self) -> float:
        """The hub's clock, in seconds; it never goes backwards, and is no time of day."""
        return _core.now()

    def update_now(self) -> None:
        """Nothing: the hub reads its clock whenever it needs the time."""

    #: The same.
    update = update_now

    # ---- what keeps waiting from being a dead end ----

    def ref(self) -> None:
        """One thing more is still to happen."""
        self._balance += 1
        self.hub.keep(1)

    def unref(self) -> None:
        """One thing less is still to happen: of what is active, one does not count."""
        self._balance -= 1
        self.hub.keep(-1)

    @property
    def activecnt(self) -> int:
        """How many things are still to happen, as far as they count."""
        told = self.hub.statistics()
        return told["timers"] + told["fd_waiters"] + told["expected"] + told["kept"]

    @property
    def pendingcnt(self) -> int:
        """How many active watchers will be called next."""
        return sum(each.pending for each in self.active)

    # ---- the loop that fibril does not have ----

    def run(self, nowait: bool = False, once: bool = False) -> None:
        """Let everything happen that is still to happen, as ``hub.join()`` does.

        nowait: only let everybody run who is ready. once: cannot be, for nobody loops here.

        Switches: always. Threads: owner, in the main fiber. Raises RuntimeError for once=True.
        """
        if once:
            raise RuntimeError(
                "cannot run the loop once: fibril has no loop, the fiber that parks asks the "
                "kernel. Use run(nowait=True), hub.wait(watcher), or fibril.sleep(0)."
            )
        if nowait:
            _core.sleep(0)
        else:
            self.hub.join()  # type: ignore[attr-defined]

    def break_(self, how: int = 1) -> None:
        """Refuse: there is no loop to leave.

        Raises RuntimeError.
        """
        raise RuntimeError(
            "cannot break the loop: fibril has none. Kill the tasks that are to end, or stop the "
            "watchers; hub.join() returns when nothing is left to happen."
        )

    def reinit(self) -> None:
        """Nothing: the child of a fork has a poller of its own from the start."""

    def verify(self) -> None:
        """Nothing: libev checks its tables, and fibril has none of libev's."""

    def install_sigchld(self) -> None:
        """Nothing: children are waited for by pidfd, without a handler of SIGCHLD."""

    #: The same.
    reset_sigchld = install_sigchld

    def closing_fd(self, fd: int) -> bool:
        """The descriptor is about to be closed: who waits for it or watches it is told.

        Returns whether anybody watched it here.
        """
        is_watched = any(isinstance(each, IOWatcher) and each.fd == fd for each in self.active)
        _core.fd_forget(fd)
        return is_watched

    def destroy(self) -> None:
        """Stop all watchers. The hub goes on."""
        self._is_destroyed = True
        for each in tuple(self.active):
            each.stop()

    @property
    def ptr(self) -> int:
        """A number that no other loop has, where gevent's has libev's; 0 once it is destroyed."""
        return 0 if self._is_destroyed else id(self)

    def fileno(self) -> int | None:
        """The poller's own descriptor, readable when one that the hub waits for is ready."""
        return self.hub.fileno()

    @property
    def default(self) -> bool:
        """Is this the main thread's?"""
        if self._is_destroyed:
            return False
        is_main = getattr(self.hub, "main_hub", False)
        return bool(is_main if self._is_default is None else self._is_default)

    @property
    def backend(self) -> str:
        """The poller's name."""
        return self.hub.poller

    @property
    def backend_int(self) -> int:
        """libev's number for it; 0: libev has no such poller."""
        return _LIBEV_NUMBERS.get(self.hub.poller, 0)

    @property
    def iteration(self) -> int:
        """How often the hub has asked the kernel."""
        return self.hub.statistics()["turns"]

    @property
    def depth(self) -> int:
        """1 in a callback of the hub, else 0."""
        return int(self.hub.current is self.hub)

    @property
    def WatcherType(self) -> type[Watcher]:  # noqa: N802  # gevent's name
        """What all watchers are instances of."""
        return Watcher

    def __repr__(self) -> str:
        default = " default" * self.default
        return f"<loop at {id(self):#x} {self.backend}{default} active={len(self.active)}>"

    # ---- after a fork ----

    def forget_children(self) -> None:
        """In the child of a fork that kept all fibers: its parent's children are not its own."""
        for each in tuple(self.active):
            if isinstance(each, ChildWatcher):
                each.stop()

    def moved(self, hub: _core.Hub) -> None:
        """In the child of a fork: `hub` has taken the former one's place, and knows of nothing."""
        self.hub = hub
        self.turns.move(hub)
        hub.keep(self._balance)
        for each in tuple(self.active):
            try:
                each._forked()
            except BaseException:  # one descriptor that is gone must not stop the others
                each.stop()
                self.handle_error(each, *sys.exc_info())
        hub.call_soon(self.update)  # from now on its fiber is there, to be woken


setattr(Loop, "async", Loop.async_)  # gevent's name from before the word was Python's
