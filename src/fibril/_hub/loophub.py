"""The hub as gevent's programs see it: its loop, waiting for a watcher, and waiting for the end.

The idea: each of these is a few lines on what is there anyhow. A watcher's callback hands over to a
Waiter; join() is a Waiter too, which the hub serves in the place of a LoopExit, when nothing is
left to happen.

Threads: the hub's own.
Do not add: who runs next, and reports; the first is native, the others are fibril.hub's.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from fibril import _core, native
from fibril._hub.waiter import Waiter
from fibril.errors import ConcurrentObjectUseError, InvalidSwitchError

if TYPE_CHECKING:  # what few programs ask for is imported when one does
    from fibril._hub.loop import Loop
    from fibril._hub.monitor import PeriodicMonitor
    from fibril._hub.watcher import Watcher
    from fibril._io.resolver import Resolver

__all__ = ["LoopHub", "after_fork", "chosen_setting"]


class LoopHub(_core.Hub):
    """A hub with a loop.

    Switches: never, but for wait, join and switch. Threads: owner.
    """

    #: For the program's own use; printed by gevent.
    name = ""

    _made_count = 0
    _has_loops = False  # has any hub one? Else a fork need not look

    def __init__(self, loop: Loop | None = None, default: bool | None = None) -> None:
        super().__init__()
        LoopHub._made_count += 1
        #: A small number of its own.
        self.minimal_ident = LoopHub._made_count
        #: The native thread that it runs in, and whether that is the main thread, whose native
        #: number is the process's.
        self.thread_ident = native.get_ident()
        self.main_hub = threading.get_native_id() == os.getpid()
        self._loop = loop
        self._is_default = default  # of a loop that is still to be made
        self._is_destroyed = False  # until somebody asks for its loop again
        self._joiner: Waiter | None = None
        self._resolver: Resolver | None = None  # ours, made when first asked for
        #: What start_periodic_monitoring_thread() has returned, or None.
        self.periodic_monitoring_thread: PeriodicMonitor | None = None
        #: What the program wants to be asked for names in this thread, or None. Comes last: it may
        #: look at the hub.
        self.chosen_resolver: Any = self._make_chosen_resolver()

    def _make_chosen_resolver(self) -> Any:
        """The one that gevent's setting names, if it names one; None for ours."""
        is_ours = type(self).resolver_class is LoopHub.resolver_class
        if is_ours and chosen_setting("resolver", "GEVENT_RESOLVER") is None:
            return None
        from fibril._io.resolver import Resolver

        made_by = self.resolver_class
        return None if made_by is Resolver else made_by(hub=self)

    def __repr__(self) -> str:
        state = "destroyed" if self._is_destroyed else self.poller + " default" * self.main_hub
        return (
            f"<{type(self).__name__} {self.name!r} at {id(self):#x} {state} "
            f"thread_ident={self.thread_ident:#x}>"
        )

    def belongs_to(self, thread_ident: int, is_main: bool, /) -> None:
        """Another native thread than its own has made it: from C, before anybody sees it.

        Switches: never. Threads: any.
        """
        self.thread_ident, self.main_hub = thread_ident, is_main

    @property
    def loop_class(self) -> type[Loop]:
        """What `loop` is an instance of."""
        from fibril._hub.loop import Loop

        return Loop

    @property
    def resolver_class(self) -> type[Any]:
        """What makes `resolver`, as resolver_class(hub=…): gevent's setting of that name, unless a
        class of yours says another."""
        from fibril._io.resolver import Resolver

        return chosen_setting("resolver", "GEVENT_RESOLVER") or Resolver

    @property
    def loop(self) -> Loop:
        """gevent's loop, as far as fibril has one: made when first asked for."""
        if self._loop is None:
            from fibril._hub.loop import Loop

            LoopHub._has_loops = True
            self._is_destroyed = False
            self._loop = Loop(default=self._is_default, hub=self)
        return self._loop

    @loop.setter
    def loop(self, loop: Loop) -> None:
        self._loop = loop  # a program may put itself in between

    @property
    def backend(self) -> str:
        """The name of what asks the kernel."""
        return self.poller

    @property
    def resolver(self) -> Any:
        """What looks names up for this thread: an object with `getaddrinfo`, `gethostbyname`,
        `gethostbyname_ex`, `gethostbyaddr`, `getnameinfo` and `close`.

        One of the program's own may be set; deleted, it is closed, and fibril's is asked again.

        >>> import fibril
        >>> from fibril import socket
        >>> from fibril._io.resolver import Resolver
        >>> class Mine(Resolver):
        ...     def gethostbyname(self, name):
        ...         return "192.0.2.1" if name == "mine.invalid" else super().gethostbyname(name)
        >>> fibril.get_hub().resolver = Mine()
        >>> socket.gethostbyname("mine.invalid"), socket.gethostbyname("127.0.0.1")
        ('192.0.2.1', '127.0.0.1')
        >>> del fibril.get_hub().resolver
        """
        if self.chosen_resolver is not None:
            return self.chosen_resolver
        from fibril._io.resolver import Resolver

        if self._resolver is None:
            self._resolver = Resolver(self)
        return self._resolver

    @resolver.setter
    def resolver(self, resolver: Any) -> None:
        self.chosen_resolver = resolver

    @resolver.deleter
    def resolver(self) -> None:
        former, self.chosen_resolver = self.chosen_resolver, None
        if former is not None:
            former.close()

    def switch(self, *args: Any, **kwargs: Any) -> Any:
        """Switch to the hub by hand: whoever is to go on must be switched to, by a callback.

        If the current fiber has a method `switch_out`, that is called first.

        Switches: always. Threads: owner.
        """
        switch_out = getattr(_core.getcurrent(), "switch_out", None)
        if switch_out is not None:
            switch_out()
        return super().switch(*args, **kwargs)

    # ---- waiting for a watcher ----

    def wait(self, watcher: Watcher) -> None:
        """Wait until it happens. The watcher is started, and stopped afterwards.

        Switches: always. Threads: owner. Raises ConcurrentObjectUseError if the watcher is in use.

        >>> import fibril
        >>> hub = fibril.get_hub()
        >>> hub.wait(hub.loop.timer(0.01))
        """
        if watcher.callback is not None:
            raise ConcurrentObjectUseError(
                f"cannot wait for {watcher!r}: it is in use. Give each waiting fiber its own."
            )
        waiter = Waiter(self)
        watcher.start(waiter.switch, waiter)  # the token by which its callback is known
        try:
            result = waiter.get()
        finally:
            watcher.stop()
        if result is not waiter:
            raise InvalidSwitchError(
                f"Invalid switch: a fiber that waited for {watcher!r} was given {result!r} instead"
            )

    def cancel_wait(self, watcher: Watcher | None, error: Any, close_watcher: bool = False) -> None:
        """Raise an exception in the fiber that waits for the watcher, if one does, soon.

        error: class, instance, or tuple. close_watcher: close it then, in use or not.

        Switches: never. Threads: owner.
        """
        if watcher is not None:
            self.loop.run_callback(self._cancel_wait, watcher, error, close_watcher)

    def cancel_waits_close_and_then(
        self,
        watchers: Iterable[Watcher | None],
        exc_kind: Any,
        then: Callable[..., Any],
        *then_args: Any,
    ) -> None:
        """Cancel the waits for all of them, close them, and then call then(*then_args), soon.

        Switches: never. Threads: owner.
        """
        for watcher in watchers:
            self.cancel_wait(watcher, exc_kind, True)
        self.loop.run_callback(then, *then_args)

    @staticmethod
    def _cancel_wait(watcher: Watcher, error: Any, close_watcher: bool) -> None:
        waiter = getattr(watcher.callback, "__self__", None) if watcher.active else None
        if close_watcher:
            watcher.close()
        if waiter is not None:
            waiter.throw(*(error if isinstance(error, tuple) else (error,)))

    # ---- being looked at ----

    def start_periodic_monitoring_thread(self) -> PeriodicMonitor:
        """Return what calls functions with this hub now and then; always the same.

        When it is made, subscribers are told (fibril.events.PeriodicMonitorThreadStartedEvent).

        Switches: never. Threads: any.
        """
        if self.periodic_monitoring_thread is None:
            from fibril._hub.events import PeriodicMonitorThreadStartedEvent, publish
            from fibril._hub.monitor import PeriodicMonitor

            self.periodic_monitoring_thread = PeriodicMonitor(self)
            publish(PeriodicMonitorThreadStartedEvent(self.periodic_monitoring_thread))
        return self.periodic_monitoring_thread

    # ---- waiting for the end ----

    def join(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to happen: no ready fiber, no timer, no watcher with `ref`.

        timeout: seconds to wait at most. Returns whether that moment has come. Fibers that wait for
        what will never happen may be left; handlers of signals and sleeps with ref=False do not
        count.

        Switches: always. Threads: owner, in the main fiber. Raises AssertionError elsewhere.

        >>> import fibril
        >>> task = fibril.spawn(fibril.sleep, 0.01)
        >>> fibril.get_hub().join()
        True
        >>> task.ready()
        True
        """
        if _core.getcurrent() is not self.main:
            raise AssertionError(
                "cannot wait for the end here: this fiber would have to end as well. Only the main "
                "fiber may."
            )
        self._joiner = waiter = Waiter(self)
        if timeout is None:
            return bool(waiter.get())
        # ref=False: one that counts would itself be something that is left to happen.
        with self.loop.timer(timeout, ref=False) as timer:
            timer.start(waiter.switch, False)
            return bool(waiter.get())

    def _tell_joiner(self) -> bool:
        """Nothing is left to happen. Was anybody waiting for just that?"""
        joiner, self._joiner = self._joiner, None
        if joiner is None or joiner.greenlet is None:  # or it has left: its time is over, or killed
            return False
        joiner.switch(True)
        return True

    def turn_begins(self) -> bool:
        """The hub will ask the kernel; called while a watcher wants to know."""
        return self.loop.turns.begins()

    def turn_ends(self) -> None:
        """The hub has asked the kernel."""
        self.loop.turns.ends()

    def destroy(self, destroy_loop: bool | None = None) -> None:
        """Stop monitoring; and the watchers, if destroy_loop says so.

        None says so in other threads than the main one.

        The hub itself is there as long as its thread: its fibers go on, and it may be used again.

        Switches: never. Threads: owner.
        """
        if self.periodic_monitoring_thread is not None:
            self.periodic_monitoring_thread.kill()
        self._is_destroyed = True
        self._resolver = None
        if self._loop is not None and (not self.main_hub if destroy_loop is None else destroy_loop):
            loop, self._loop = self._loop, None
            loop.destroy()


def after_fork() -> None:
    """In the child of a fork: the watchers go on in the hub that it has now.

    Switches: never. Threads: owner.
    """
    former = _core.get_hub() if LoopHub._has_loops else None
    is_kept = _core.after_fork()
    loop = former._loop if isinstance(former, LoopHub) else None
    if loop is None:
        return
    if is_kept:
        loop.forget_children()
        return
    hub: Any = _core.get_hub()  # another one, unless a callback of the former forked
    hub._loop, hub.name = loop, former.name  # type: ignore[union-attr]
    loop.moved(hub)


def chosen_setting(name: str, variable: str) -> Any:
    """What the program or its environment says of one of gevent's settings; None: nothing.

    fibril.config, which does what they say when it is imported, is not imported for nothing.

    Switches: never. Threads: any.
    """
    if "fibril.config" not in sys.modules and variable not in os.environ:
        return None
    from fibril import config

    settings = getattr(config, "config", None)  # None while it is being imported
    if settings is None or not settings.is_chosen(name):
        return None
    return getattr(settings, name)
