"""Events: a flag that fibers wait for, and a value that comes later.

Event is native (csrc: event_type.c). AsyncResult is an Event with something to say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, overload

from fibril import _core
from fibril._core import Event
from fibril._typing import T
from fibril.errors import FiberError
from fibril.timeout import Timeout

__all__ = ["AsyncResult", "Event"]

_Links = deque[tuple[Callable[[Any], Any], _core.Hub]]


def _tell(hub: _core.Hub, link: Callable[[Any], Any], source: Any) -> None:
    try:
        hub.call_soon_threadsafe(link, source)
    except FiberError:
        pass  # the thread that linked has ended: there is nobody to be told


class AsyncResult(Generic[T]):
    """A value, or an exception, that somebody will set and others wait for.

    Switches: never. Threads: any.

    >>> import fibril
    >>> from fibril.event import AsyncResult
    >>> result = AsyncResult()
    >>> task = fibril.spawn(result.get)
    >>> result.set(42)
    >>> task.get()
    42
    """

    # What most have is in the class: they are made, set and asked once.
    _value: T | None = None
    _exception: BaseException | None = None
    _traceback: TracebackType | None = None
    _links: _Links | tuple[()] = ()  # replaced by the first link
    _is_settled = False

    def __init__(self) -> None:
        self._event = Event()

    @overload
    def set(self: AsyncResult[None]) -> None: ...

    @overload
    def set(self, value: T) -> None: ...

    def set(self, value: Any = None) -> None:
        """Set the value, and wake everybody who waits for it. A later one replaces it.

        Switches: never. Threads: any.
        """
        self._value = value
        if self._exception is not None:
            self._exception = self._traceback = None
        self._settle()

    def set_exception(self, exception: BaseException, exc_info: Any = None) -> None:
        """Set what get() will raise, and wake everybody who waits.

        Switches: never. Threads: any.
        """
        self._value, self._exception = None, exception
        self._traceback = exc_info[2] if exc_info else exception.__traceback__
        self._settle()

    set_result = set

    def _settle(self) -> None:
        """Links are called before those go on who wait; each finds it ready, in whatever thread."""
        self._is_settled = True
        if self._links:
            self._tell_links()
        self._event.set()

    def _tell_links(self) -> None:
        """Each link once. Two threads may be here; whoever takes a link out tells it."""
        while links := self._links:
            try:
                link, hub = links.popleft()
            except IndexError:
                return
            _tell(hub, link, self)

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Return the value, or raise the exception; wait for it if need be.

        block: False raises Timeout at once if there is none. timeout: seconds to wait at most, None
        for ever; then Timeout is raised.

        Switches: if it must wait. Threads: any.
        """
        if not (self._is_settled or self.ready() or (block and self._event.wait(timeout))):
            raise Timeout(timeout)
        if self._exception is not None:
            raise self._exception.with_traceback(self._traceback)
        return self._value  # type: ignore[return-value]  # set, if only to None

    result = get

    def get_nowait(self) -> T:
        """Return get(block=False).

        Switches: never. Threads: any. Raises Timeout if there is nothing yet.
        """
        return self.get(block=False)

    def wait(self, timeout: float | None = None) -> T | None:
        """Wait until it is set, at most `timeout` seconds; return the value, None if there is none.

        Switches: if it must wait. Threads: any.
        """
        self._event.wait(timeout)
        return self._value

    def ready(self) -> bool:
        """Whether there is a value or an exception.

        Switches: never. Threads: any.
        """
        return self._is_settled or self._event.is_set()  # which also counts who polls

    done = ready

    def successful(self) -> bool:
        """Whether there is a value.

        Switches: never. Threads: any.
        """
        return self.ready() and self._exception is None

    def cancel(self) -> bool:
        """Return False: it cannot be cancelled.

        Switches: never. Threads: any.
        """
        return False

    cancelled = cancel

    @property
    def value(self) -> T | None:
        """The value; None if there is none."""
        return self._value

    @property
    def exception(self) -> BaseException | None:
        """The exception; None if there is none."""
        return self._exception

    @property
    def exc_info(
        self,
    ) -> tuple[type[BaseException], BaseException, TracebackType | None] | tuple[()]:
        """(type, value, traceback) of the exception; () if there is none."""
        if self._exception is None:
            return ()
        return (type(self._exception), self._exception, self._traceback)

    @property
    def hub(self) -> _core.Hub:
        """The hub of the thread that asks: any may use it."""
        return _core.get_hub()

    @property
    def linkcount(self) -> int:
        """How many links it has."""
        return len(self._links)

    def rawlink(self, callback: Callable[[Self], Any]) -> None:
        """Have this thread's hub call callback(self) once it is set; soon if it is.

        callback: must not block.

        Switches: never. Threads: any.
        """
        links: _Links = vars(self).setdefault("_links", deque())  # two threads may come first
        links.append((callback, _core.get_hub()))
        if self.ready():  # asked when the link is there: another thread may be setting it just now
            self._tell_links()

    def unlink(self, callback: Callable[[Self], Any]) -> None:
        """Take back a link; one that is not there is no error.

        Switches: never. Threads: any.
        """
        links = self._links
        for entry in list(links):
            if entry[0] == callback:
                try:
                    links.remove(entry)  # type: ignore[union-attr]
                except ValueError:
                    pass  # another thread has just taken it, to tell it
                return

    def __call__(self, source: Any) -> None:
        """Take over how `source` ended, so that task.link(result) works.

        Switches: never. Threads: any.
        """
        if source.successful():
            self.set(source.value)
        else:
            self.set_exception(source.exception, getattr(source, "exc_info", None))

    def __repr__(self) -> str:
        state = "unset"
        if self.ready():
            state = f"value={self._value!r}" if self.successful() else repr(self._exception)
        return f"<{type(self).__name__} at {id(self):#x} {state}>"
