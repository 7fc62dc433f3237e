"""ThreadResult: gevent's way for a native thread to tell a hub what has become of one call.

The idea: the native thread leaves value or exception here and sends; the hub, in its own thread,
reports the exception and calls who is to receive it. fibril's own pools settle an AsyncResult from
the native thread and need none of this: it is for pools that were written for gevent.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["ThreadResult"]

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class ThreadResult:
    """The outcome of one call, carried from a native thread to the thread of a hub.

    receiver: called with this object there, once value or exception are known; or None.
    call_when_ready: called without arguments just before; what it raises goes to the hub's
    handle_error, and the receiver is called all the same. While the outcome is awaited, `hub` is
    not done: no LoopExit.

    Of several outcomes the first counts. Afterwards nothing but `value` and `exc_info` is kept, and
    those only until the receiver has returned; of the exception its traceback is let go then.

    Switches: never. Threads: made in the thread of `hub`; set() and handle_error() in any.

    >>> import fibril
    >>> from fibril import native
    >>> from fibril.event import AsyncResult
    >>> from fibril.threadpool import ThreadResult
    >>> answer = AsyncResult()
    >>> result = ThreadResult(answer, fibril.get_hub(), lambda: None)
    >>> _ = native.start_new_thread(result.set, (42,))
    >>> answer.get()
    42
    """

    __slots__ = (
        *("context", "exc_info", "hub", "receiver", "value"),
        *("_call_when_ready", "_is_known", "_watcher"),
    )

    def __init__(
        self,
        receiver: Callable[[ThreadResult], Any] | None,
        hub: Any,
        call_when_ready: Callable[[], Any],
    ) -> None:
        self.receiver: Callable[[ThreadResult], Any] | None = receiver
        self.hub: Any = hub
        self.context: Any = None
        self.value: Any = None
        self.exc_info: _ExcInfo | tuple[()] = ()
        self._call_when_ready: Callable[[], Any] | None = call_when_ready
        self._is_known = False
        self._watcher: Any = hub.loop.async_()
        self._watcher.start(self._deliver)

    @property
    def exception(self) -> BaseException | None:
        """What the call raised, or None.

        Switches: never. Threads: any.
        """
        return self.exc_info[1] if self.exc_info else None

    def successful(self) -> bool:
        """Whether the call did not raise. True before its end as well.

        Switches: never. Threads: any.
        """
        return self.exception is None

    def set(self, value: Any) -> None:
        """The call returned this.

        Switches: never. Threads: any.
        """
        if not self._is_known:
            self.value = value
            self._tell()

    def handle_error(self, context: Any, exc_info: _ExcInfo) -> None:
        """The call raised this. `context` is what the hub's handle_error is told of where.

        Switches: never. Threads: any.
        """
        if not self._is_known:
            self.context = context
            self.exc_info = exc_info
            self._tell()

    def destroy_in_main_thread(self) -> None:
        """Nobody waits for the outcome any more: the receiver is not called.

        Switches: never. Threads: owner.
        """
        self._is_known = True
        self._let_go()

    def _tell(self) -> None:
        self._is_known = True
        # Read once: in the hub's thread destroy_in_main_thread() may let it go at any time. Who was
        # closed meanwhile tells nobody.
        watcher = self._watcher
        if watcher is not None:
            watcher.send()

    def _deliver(self) -> None:
        """In the hub's thread: the outcome is known."""
        receiver, ready = self.receiver, self._call_when_ready
        hub, context = self.hub, self.context
        self._let_go()
        try:
            _call(ready, hub)
            if self.exc_info:
                hub.handle_error(context, *self.exc_info)
            if receiver is not None:
                receiver(self)
        finally:
            self.value = None
            if self.exc_info:
                self.exc_info = (*self.exc_info[:2], None)

    def _let_go(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()
        self.receiver = self._call_when_ready = self.hub = self.context = None


def _call(ready: Any, hub: Any) -> None:
    try:
        ready()
    except Exception as error:  # the receiver must hear of the outcome all the same
        hub.handle_error(ready, type(error), error, error.__traceback__)
