"""eventlet.greenthread, served by fibril: a GreenThread is a Task with eventlet's wait and links.

What is eventlet's: wait() raises GreenletExit where the thread was ended by it; links take
arguments of their own, are called in the thread that ends, before those who wait go on, and may
call its wait(); kill() returns when the victim has run.

Invariant: each link is called once, also if the thread was killed before it began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import fibril
from fibril import Fiber, GreenletExit, Task, _core, getcurrent

from . import hubs

__all__ = [
    "GreenThread",
    "call_after",
    "call_after_global",
    "call_after_local",
    "cancel",
    "exc_after",
    "getcurrent",
    "kill",
    "sleep",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_n",
]

_Function = Callable[..., Any]
_Link = tuple[_Function, tuple[Any, ...], dict[str, Any]]


class GreenThread(Task):
    """What spawn() makes: function(*args, **kwargs) in a task.

    Switches: never, but for wait() and kill(). Threads: any.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> import eventlet
    >>> thread = eventlet.spawn(pow, 2, 5)
    >>> thread.link(lambda thread, text: print(text, thread.wait()), "it was")
    >>> thread.wait()
    it was 32
    32
    """

    _links: deque[_Link] | None = None
    _ended: tuple[Any, BaseException | None] | None = None  # while the links are called
    _is_telling = False
    _has_begun = False

    def __init__(self, function: Callable[..., Any], args: Any = (), kwargs: Any = None) -> None:
        super().__init__(None, function, args, kwargs or {})

    def _run(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        self._has_begun = True
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            self._end_with(None, error)
            raise
        else:
            self._end_with(value, None)
            return value
        finally:
            del self  # what is raised has this frame: no cycle

    def _end_with(self, value: Any, error: BaseException | None) -> None:
        if self._links:
            self._ended = value, error
            try:
                self._tell_links()
            finally:
                del self._ended, error  # the error has frames that hold us: no cycle

    def __bool__(self) -> bool:
        return self._has_begun and not self.dead

    def wait(self) -> Any:
        """What the function returns, or raises what it raises.

        Switches: if it must wait. Threads: any. Raises GreenletExit if the thread was killed.
        """
        error: BaseException | None = None
        try:
            value, error = (self.get(), None) if self._ended is None else self._ended
            if isinstance(value, GreenletExit):
                error = value
            if error is not None:
                raise error
            return value
        finally:
            del self, error  # likewise

    # ---- links ----

    def link(self, func: _Function, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Call func(thread, *args, **kwargs) when it ends; at once if it has."""
        if self._links is None:
            self._links = deque()
            if not self.dead:
                self.rawlink(GreenThread._tell_links)  # if it will be killed before it begins
        self._links.append((func, args, kwargs))
        if self.dead:
            self._tell_links()

    def unlink(self, func: _Function, *args: Any, **kwargs: Any) -> bool:  # type: ignore[override]
        """Take back a link; whether it was there."""
        try:
            self._links.remove((func, args, kwargs))  # type: ignore[union-attr]
        except (AttributeError, ValueError):
            return False
        return True

    def _tell_links(self) -> None:
        if self._is_telling:  # a link makes a link: the loop below will find it
            return
        self._is_telling = True
        try:
            while self._links:
                func, args, kwargs = self._links.popleft()
                try:
                    func(self, *args, **kwargs)
                except Exception as error:  # is told of, and the others are called
                    fibril.get_hub().handle_error(func, type(error), error, error.__traceback__)
        finally:
            self._is_telling = False

    # ---- the end ----

    def kill(self, *throw_args: Any, block: bool = True, timeout: float | None = None) -> None:
        """Raise GreenletExit, or what throw_args say, in it; return when it has run."""
        if block and timeout is None:
            kill(self, *throw_args)
        else:  # as any task: fibril's own functions ask so
            super().kill(_thrown(*throw_args), block=block, timeout=timeout)

    def cancel(self, *throw_args: Any) -> None:
        """Kill it if it has not begun."""
        cancel(self, *throw_args)


def spawn(func: Callable[..., Any], *args: Any, **kwargs: Any) -> GreenThread:
    """Call func(*args, **kwargs) in a new GreenThread; returns that at once."""
    thread = GreenThread(func, args, kwargs)
    thread.start()
    return thread


def spawn_n(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Fiber:
    """spawn() for who wants no result: what it returns has no wait() and no links of eventlet's."""
    return fibril.spawn(partial(func, *args, **kwargs))


def spawn_after(seconds: float, func: Callable[..., Any], *args: Any, **kwargs: Any) -> GreenThread:
    """spawn() in so many seconds; until then cancel() stops it."""
    thread = GreenThread(func, args, kwargs)
    if seconds > 0:
        thread.start_later(seconds)
    else:  # in line with who is ready
        thread.start()
    return thread


def spawn_after_local(
    seconds: float, func: Callable[..., Any], *args: Any, **kwargs: Any
) -> GreenThread:
    """spawn_after(), unless the current greenthread has ended by then."""
    thread = GreenThread(func, args, kwargs)
    hubs.get_hub().schedule_call_local(seconds, _start, thread)
    return thread


def _start(thread: GreenThread) -> None:
    if not thread.dead:
        thread.start()


def call_after_global(seconds: float, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Older name of spawn_after(), which returns the timer."""
    return hubs.get_hub().schedule_call_global(seconds, spawn_n, func, *args, **kwargs)


def call_after_local(seconds: float, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Older name of spawn_after_local(), which returns the timer."""
    return hubs.get_hub().schedule_call_local(seconds, spawn_n, func, *args, **kwargs)


call_after = call_after_local


def exc_after(seconds: float, *throw_args: Any) -> Any:
    """Raise an exception in the current greenthread in so many seconds; use Timeout instead."""
    return hubs.get_hub().schedule_call_local(seconds, getcurrent().throw, *throw_args)


def sleep(seconds: float = 0) -> None:
    """Let others run for so many seconds; 0: let each who is ready run once."""
    fibril.sleep(max(0, seconds))


def kill(g: Fiber, *throw_args: Any) -> None:
    """Raise GreenletExit, or what throw_args say, in a greenthread; return when it has run.

    One that has not begun ends without running. One that has ended is left alone.

    Switches: if it must wait, but not in a callback of the hub. Threads: any.
    """
    if g.dead:
        return
    current = getcurrent()
    if g is current or not (isinstance(g, Task) or g is fibril.get_hub().main):
        g.throw(*throw_args)
        return
    if isinstance(g, Task):
        Task.kill(g, _thrown(*throw_args), block=False)
    else:
        _core.throw_later(g, _thrown(*throw_args))
    if not isinstance(current, _core.Hub):
        fibril.sleep(0)  # it stands in line before us


def _thrown(kind: Any = GreenletExit, value: Any = None, tb: Any = None) -> Any:
    """The exception that throw(kind, value, tb) raises."""
    if isinstance(kind, BaseException):
        error = kind
    elif isinstance(value, BaseException):
        error = value
    elif value is None:
        error = kind()
    else:
        error = kind(*value) if isinstance(value, tuple) else kind(value)
    return error if tb is None else error.with_traceback(tb)


def cancel(g: Fiber, *throw_args: Any) -> None:
    """Kill a greenthread that has not begun."""
    if not (g._has_begun if isinstance(g, GreenThread) else g.gr_frame):
        kill(g, *throw_args)
