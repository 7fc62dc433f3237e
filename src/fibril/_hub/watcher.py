"""Watchers, as gevent's libraries use them: "call me in the hub when that happens".

The idea: what waits natively (csrc: notice.c) needs no fiber: a timer is a place in the hub's heap,
a watch an entry in the descriptor's list. Every other kind is a Python object that is told by
somebody (a signal, another thread, a fork) and has the hub call its callback: watch_*.py.

Invariants: an active watcher is in its loop's `active` set, and so alive. While it is active and
`ref` is true it counts as something still to happen. A callback runs in the hub, where nothing may
block; what it raises goes to the loop's handle_error.
Threads: the loop's own, but for AsyncWatcher.send.
Do not add: kinds that nothing but fibril would use. fibril itself parks fibers instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fibril import _core

if TYPE_CHECKING:
    from fibril._hub.loop import Loop

__all__ = ["READ", "WRITE", "IOWatcher", "TimerWatcher", "Watcher"]

READ, WRITE = 1, 2


class Watcher:
    """What all kinds have. Made by the loop's factories, such as ``loop.timer(1.0)``.

    loop: whose hub calls back. ref: whether waiting is no dead end while this is active. priority:
    kept for gevent's sake; callbacks run in the order in which things happened.

    Switches: never. Threads: owner.

    >>> import fibril
    >>> timer = fibril.get_hub().loop.timer(0.01)
    >>> timer.start(print, "it is time")
    >>> timer.active
    True
    >>> fibril.sleep(0.02)
    it is time
    """

    def __init__(self, loop: Loop, ref: bool = True, priority: int | None = None) -> None:
        self.loop = loop
        self._ref = bool(ref)
        self._priority = 0 if priority is None else int(priority)
        self._callback: Callable[..., Any] | None = None
        self._args: tuple[Any, ...] | None = None
        self._is_active = False
        self._is_posted = False  # the hub will call

    # ---- what each kind does its own way ----

    def _begin(self) -> None:
        """It becomes active: see to it that it is told."""

    def _end(self) -> None:
        """It is not active any more."""

    def _count(self, change: int) -> None:
        """That many more things are still to happen."""
        self.loop.hub.keep(change)

    def _forked(self) -> None:
        """In the child of a fork, while active: what the hub knew of it is gone."""
        if self._ref:
            self._count(1)

    def _details(self) -> str:
        return ""

    # ---- the common life ----

    def start(self, callback: Callable[..., Any], *args: Any) -> None:
        """Call callback(*args) in the hub each time it happens, until stop()."""
        self._take(callback, args)
        if self._is_active:
            return
        try:
            self._begin()
        except BaseException:
            self._callback = self._args = None
            raise
        self._is_active = True
        self.loop.active.add(self)
        if self._ref:
            self._count(1)

    def _take(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if callback is None:
            raise TypeError("cannot call None back: a watcher needs a function")
        self.callback, self._args = callback, args

    def _deactivate(self) -> None:
        if not self._is_active:
            return
        self._is_active = False
        self.loop.active.discard(self)
        if self._ref:
            self._count(-1)
        self._end()

    def stop(self) -> None:
        """Do not call back any more, not even for what has happened already."""
        self._deactivate()
        self._is_posted = False
        self._callback = self._args = None

    def close(self) -> None:
        """Stop for good."""
        self.stop()

    def feed(self, revents: int, callback: Callable[..., Any], *args: Any) -> None:
        """Call callback(*args) in the hub soon, as if it had happened.

        revents: what happened, which is for the callers of libev; it is not passed on.
        """
        self._take(callback, args)
        self._post()

    def _post(self) -> None:
        """Have the hub call. Any thread; what was not called yet is called once."""
        if not self._is_posted:
            self._is_posted = True
            self.loop.hub.call_soon_threadsafe(self._posted)

    def _posted(self) -> None:
        if self._is_posted:
            self._is_posted = False
            self._call(self._args or ())

    def _call(self, args: tuple[Any, ...]) -> None:
        """In the hub: it happened."""
        if self._callback is None:
            return
        try:
            self._callback(*args)
        except BaseException:  # whatever it is, the loop's handler knows where it belongs
            self.loop.handle_error(self, *sys.exc_info())
        if not self.active and not self.pending:
            self._callback = self._args = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " active" * self.active + " pending" * self.pending
        callback = "" if self._callback is None else f" callback={self._callback!r}"
        return f"<{type(self).__name__} at {id(self):#x}{self._details()}{state}{callback}>"

    # ---- attributes ----

    @property
    def active(self) -> bool:
        """Started, and neither stopped nor over."""
        return self._is_active

    @property
    def pending(self) -> bool:
        """It happened, and the hub has not called yet."""
        return self._is_posted

    @property
    def ref(self) -> bool:
        """While it is active, waiting is no dead end."""
        return self._ref

    @ref.setter
    def ref(self, value: bool) -> None:
        change = int(bool(value)) - int(self._ref)
        self._ref = bool(value)
        if self._is_active and change:
            self._count(change)

    @property
    def priority(self) -> int:
        """Kept and not used; cannot be set while active."""
        return self._priority

    @priority.setter
    def priority(self, value: int) -> None:
        self._refuse_active("priority")
        self._priority = value

    def _refuse_active(self, name: str) -> None:
        if self._is_active:
            raise AttributeError(
                f"cannot set {name!r} of {self!r}: it is active. Call stop() first."
            )

    @property
    def callback(self) -> Callable[..., Any] | None:
        """What is called, or None."""
        return self._callback

    @callback.setter
    def callback(self, value: Callable[..., Any] | None) -> None:
        if value is not None and not callable(value):
            raise TypeError(f"cannot call {value!r} back: give a function, or None")
        self._callback = value

    @property
    def args(self) -> tuple[Any, ...] | None:
        """What it is called with."""
        return self._args

    @args.setter
    def args(self, value: tuple[Any, ...] | None) -> None:
        if value is not None and not isinstance(value, tuple):
            raise TypeError(f"the arguments of a callback must be a tuple or None, not {value!r}")
        self._args = value


class IOWatcher(Watcher):
    """Calls back while a descriptor can be read (events=1), written (2), or either (3).

    It is called again and again, once each time the hub has asked the kernel, until it is stopped
    or the descriptor is neither any more. One whose descriptor is closed is stopped, and called
    once more: trying tells what happened.

    Switches: never. Threads: owner.
    """

    def __init__(
        self, loop: Loop, fd: int, events: int, ref: bool = True, priority: int | None = None
    ) -> None:
        super().__init__(loop, ref, priority)
        self._native: _core.Watch | None = None
        self._pass_events = False
        self.fd = fd
        self.events = events

    def start(self, callback: Callable[..., Any], *args: Any, pass_events: bool = False) -> None:
        """Call callback(*args) in the hub while it is ready; pass_events: what for comes first."""
        self._pass_events = pass_events
        super().start(callback, *args)

    def _begin(self) -> None:
        native = _core.Watch(self.loop.hub, self._fd, self._events, self._ready)
        native.ref = self._ref
        native.start()
        self._native = native

    def _end(self) -> None:
        if self._native is not None:
            self._native.cancel()
        self._native = None

    def _count(self, change: int) -> None:
        if self._native is not None:
            self._native.ref = self._ref

    def _forked(self) -> None:
        self._begin()

    def _ready(self, ready: int) -> None:
        native = self._native
        if native is None or not native.active:  # the descriptor was closed
            self._deactivate()
        args = self._args or ()
        self._call((ready, *args) if self._pass_events else args)
        if native is not None and native is self._native:
            native.want()

    @property
    def pending(self) -> bool:
        """It is ready, and the hub has not called yet."""
        return self._is_posted or (self._native is not None and self._native.pending)

    @property
    def fd(self) -> int:
        """Which descriptor; cannot be set while active."""
        return self._fd

    @fd.setter
    def fd(self, value: int) -> None:
        self._refuse_active("fd")
        if value < 0:
            raise ValueError(f"cannot watch the descriptor {value}: it must not be negative")
        self._fd = value

    @property
    def events(self) -> int:
        """What for: 1 to read, 2 to write, 3 for both; cannot be set while active."""
        return self._events

    @events.setter
    def events(self, value: int) -> None:
        self._refuse_active("events")
        if value & ~(READ | WRITE):
            raise ValueError(f"cannot watch for {value!r}: illegal event mask, use 1, 2 or 3")
        self._events = value

    def _details(self) -> str:
        return f" fd={self._fd} events={self._events}"


class TimerWatcher(Watcher):
    """Calls back after a time, and then, if `repeat` is not 0, again each `repeat` seconds.

    Switches: never. Threads: owner.
    """

    def __init__(
        self,
        loop: Loop,
        after: float = 0.0,
        repeat: float = 0.0,
        ref: bool = True,
        priority: int | None = None,
    ) -> None:
        if repeat < 0.0:
            raise ValueError(f"repeat must be positive or zero: {repeat!r}")
        super().__init__(loop, ref, priority)
        self._after_s = float(after)
        self._repeat_s = float(repeat)
        self._native: _core.Timer | None = None  # while active: it has us

    def start(self, callback: Callable[..., Any], *args: Any, update: bool | None = None) -> None:
        """Call callback(*args) in the hub when it is time.

        update: for gevent's sake; the hub reads its clock each time.
        """
        super().start(callback, *args)

    def again(self, callback: Callable[..., Any], *args: Any, update: bool = True) -> None:
        """Count `repeat` seconds from now, whether it is active or not; without `repeat`, stop."""
        self._deactivate()
        if self._repeat_s == 0.0:
            self._take(callback, args)
            return
        super().start(callback, *args)
        if self._native is not None:
            self._native.start(self._repeat_s)

    def _begin(self) -> None:
        self._native = native = _core.Timer(self.loop.hub, self._due)
        native.ref = self._ref
        native.start(self._after_s)

    def _end(self) -> None:
        if self._native is not None:
            self._native.cancel()
        self._native = None

    def _count(self, change: int) -> None:
        if self._native is not None:
            self._native.ref = self._ref

    def _forked(self) -> None:
        """The clock goes on."""

    def _due(self, ready: int) -> None:
        if self._repeat_s == 0.0 or self._native is None:
            self._deactivate()
        else:
            self._native.again(self._repeat_s)
        self._call(self._args or ())

    @property
    def pending(self) -> bool:
        """It is time, and the hub has not called yet."""
        return self._is_posted or (self._native is not None and self._native.pending)

    @property
    def at(self) -> float:
        """How many seconds the first call is from the start."""
        return self._after_s

    def _details(self) -> str:
        return f" after={self._after_s} repeat={self._repeat_s}"
