"""signal_handler: a function that runs in a task of its own at each signal.

The idea: the signal is watched by the hub's loop; the watcher does not keep waiting from ending,
and each signal spawns a task, where the function may block as it likes.

Waiting for signals lies in fibril._io.signal_wait. `signal`, `getsignal` and `set_wakeup_fd` are
the standard library's: fibril waits for children by pidfd, so SIGCHLD is a signal like any other.
Do not add: who listens to which signal; that is fibril._hub.signals.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from signal import getsignal, set_wakeup_fd, signal
from typing import Any, ParamSpec

from fibril import _core
from fibril._io.signal_wait import pause, sigtimedwait, sigwait, sigwaitinfo
from fibril.errors import GreenletExit

__all__ = [
    "getsignal",
    "pause",
    "set_wakeup_fd",
    "sigtimedwait",
    "signal",
    "signal_handler",
    "sigwait",
    "sigwaitinfo",
]

_P = ParamSpec("_P")


class signal_handler:  # noqa: N801  # gevent's name
    """Run handler(*args, **kwargs) in a new task each time the process gets the signal.

    Until cancel(). Python's own handler of that signal is out of its place meanwhile. Waiting for
    nothing else is over all the same (fibril.wait(None)), but no dead end. What the handler raises
    is printed, and raised in the main fiber.

    Switches: never. Threads: owner, the main one. Raises TypeError if the handler cannot be called,
    ValueError for what is no signal, InvalidThreadUseError in another thread.

    >>> import os, signal, fibril
    >>> from fibril.event import Event
    >>> is_over = Event()
    >>> handler = fibril.signal_handler(signal.SIGUSR1, is_over.set)
    >>> os.kill(os.getpid(), signal.SIGUSR1)
    >>> is_over.wait()
    True
    >>> handler.cancel()
    """

    #: What the handler runs in.
    greenlet_class: type[_core.Task] | None = None

    def __init__(
        self, signalnum: int, handler: Callable[_P, Any], *args: _P.args, **kwargs: _P.kwargs
    ) -> None:
        if not callable(handler):
            raise TypeError(f"signal handler must be callable, not {handler!r}")
        hub: Any = _core.get_hub()  # fibril.hub.Hub, which has a loop
        self.hub = hub
        self.handler: Callable[..., Any] | None = handler
        self.args: tuple[Any, ...] = args
        self.kwargs: dict[str, Any] = kwargs
        self.watcher: Any = hub.loop.signal(signalnum, ref=False)
        self.watcher.start(self._start)

    @property
    def ref(self) -> bool:
        """Does it keep waiting from ending?"""
        return bool(self.watcher.ref)

    @ref.setter
    def ref(self, value: bool) -> None:
        self.watcher.ref = value

    def cancel(self) -> None:
        """Do not run it any more."""
        self.watcher.close()
        self.handler = None
        self.args, self.kwargs = (), {}

    def _start(self) -> None:
        if self.handler is not None:
            task = self.greenlet_class or _core.Task
            task.spawn(self.handle, self.handler, self.args, self.kwargs)

    def handle(
        self, handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """In the task: run it, and report what it raises."""
        try:
            handler(*args, **kwargs)
        except GreenletExit:  # it was killed
            raise
        except BaseException:  # whatever it is, the hub knows where it belongs
            self.hub.handle_error(None, *sys.exc_info())
