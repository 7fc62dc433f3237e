"""Events: a flag that fibers wait for, and a value that comes later.

Event is native (csrc: event_type.c). AsyncResult is an Event with something to say: its flag, who
waits for it and its links are the event's, so each of these is one step, in whatever threads.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, overload

from fibril import _core
from fibril._core import Event
from fibril._typing import T
from fibril.timeout import late

__all__ = ["AbstractLinkable", "AsyncResult", "Event"]


class _Link:
    """A link of the event that is called with what has the event. Equal to another of the same."""

    __slots__ = ("_callback", "_source")

    def __init__(self, callback: Callable[[Any], Any], source: object) -> None:
        self._callback = callback
        self._source = source

    def __call__(self, event: object) -> None:
        self._callback(self._source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Link) and self._callback == other._callback

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._callback)  # a report of what it raised names the program's function


class Linked:
    """What has links because it has an event that is set when it is ready.

    Switches: never. Threads: any.
    """

    _event: Event

    def rawlink(self, callback: Callable[[Self], Any]) -> None:
        """Have this thread's hub call callback(self) once it is ready; soon if it is.

        callback: must not block.

        Switches: never. Threads: any. Raises TypeError for what cannot be called.
        """
        if not callable(callback):
            raise TypeError(
                f"cannot link {callback!r}: it is not callable. A link is called with the object "
                "that it is linked to, when that is ready."
            )
        self._event.rawlink(_Link(callback, self))

    def unlink(self, callback: Callable[[Self], Any]) -> None:
        """Take back a link; one that is not there is no error.

        Switches: never. Threads: any.
        """
        self._event.unlink(_Link(callback, self))


class AsyncResult(Linked, Generic[T]):
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
        # Before the event is set: who finds that set, in whatever native thread, finds the value.
        self._value = value
        if self._exception is not None:
            self._exception = self._traceback = None
        self._event.set()

    def set_exception(self, exception: BaseException, exc_info: Any = None) -> None:
        """Set what get() will raise, and wake everybody who waits.

        Switches: never. Threads: any.
        """
        self._value, self._exception = None, exception
        self._traceback = exc_info[2] if exc_info else exception.__traceback__
        self._event.set()

    set_result = set

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Return the value, or raise the exception; wait for it if need be.

        block: False raises Timeout at once if there is none. timeout: seconds to wait at most, None
        for ever; then Timeout is raised.

        Switches: if it must wait. Threads: any.
        """
        if self._value is not None:  # so it is set, which is asked for much faster like this
            return self._value
        if not (self._event.wait(timeout) if block else self._event.is_set()):
            raise late(timeout)
        if self._exception is not None:
            try:
                raise self._exception.with_traceback(self._traceback)
            finally:
                del self  # the exception has this frame now, and we have the exception: no cycle
        return self._value  # type: ignore[return-value]  # set, if only to None

    def result(self, timeout: float | None = None) -> T:
        """As get(), by the name that a Future has for it.

        Switches: if it must wait. Threads: any.
        """
        return self.get(timeout=timeout)

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
        return self._event.is_set()

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
    def hub(self) -> _core.Hub | None:
        """The hub of the thread that asks, as any may use it; None as long as nobody has waited."""
        return self._event.hub

    def linkcount(self) -> int:
        """Return how many links it has, and fibers that wait for it.

        Switches: never. Threads: any.
        """
        return self._event.linkcount()

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


class AbstractLinkable(Linked, metaclass=ABCMeta):
    """What tells links when it is ready: for classes of your own, which `wait` and `iwait` take.

    A subclass says in ready() whether it is, and calls _notify_links() when it has become so.
    Events, semaphores and results count as instances.

    Switches: never. Threads: any.

    >>> import fibril
    >>> from fibril.event import AbstractLinkable
    >>> class Door(AbstractLinkable):
    ...     is_open = False
    ...     def ready(self):
    ...         return self.is_open
    ...     def open(self):
    ...         self.is_open = True
    ...         self._notify_links()
    >>> door = Door()
    >>> opened = fibril.spawn(door.open)
    >>> fibril.wait([door]) == [door]
    True
    """

    def __init__(self, hub: _core.Hub | None = None) -> None:
        pass  # gevent's argument: here any hub may use it

    @property
    def _event(self) -> Event:  # type: ignore[override]
        """Tells those who are linked now; another one is made when it has."""
        return vars(self).setdefault("_links", Event())  # type: ignore[no-any-return]

    @abstractmethod
    def ready(self) -> bool:
        """Whether links are told at once."""

    def rawlink(self, callback: Callable[[Self], Any]) -> None:
        """Have this thread's hub call callback(self) once it is ready; soon if it is.

        callback: must not block.

        Switches: never. Threads: any.
        """
        super().rawlink(callback)
        if self.ready():
            self._notify_links()

    def _notify_links(self) -> None:
        """It has become ready: each link is told once."""
        told = vars(self).pop("_links", None)
        if told is not None:
            told.set()

    hub = AsyncResult.hub
    linkcount = AsyncResult.linkcount


AbstractLinkable.register(Event)
AbstractLinkable.register(AsyncResult)
AbstractLinkable.register(_core.Semaphore)
