"""The standard library's `select`, with `select`, `poll` and `epoll` that let other tasks run.

The idea: the kernel's own call decides what is ready, always with timeout 0, so every bit it can
report is there. Between two such calls the task waits until one of the descriptors changes: they
are put into an epoll descriptor, and that one descriptor is waited for in the hub. They are put in
edge-triggered, because not all that epoll reports without being asked (a hang-up) is what the
kernel's `select` was asked for, and a wait that ends at once each time would be a busy loop.

Invariants: timeout 0 switches only where a task does nothing but poll (csrc: spin.h); with
another, others get their turn first even where something is ready, because a loop around `select`
whose descriptors are always ready would keep them waiting for ever. A `select.epoll` is a real one,
cooperative: its descriptor can be handed to others.
Do not add: ways to decide what is ready without asking the kernel.
"""

from __future__ import annotations

import select as stdlib
from collections.abc import Callable, Iterable
from errno import EMFILE, ENFILE
from select import *  # noqa: F403
from select import EPOLLET, EPOLLIN, EPOLLOUT, EPOLLPRI, POLLIN, POLLOUT, POLLPRI
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fibril import _core, native
from fibril._builtin import builtin
from fibril._io.retry import Pauses
from fibril.timeout import Deadline

if TYPE_CHECKING:
    from typing import Never

    from _typeshed import FileDescriptorLike
    from typing_extensions import TypeVar

    Found = TypeVar("Found")
    R = TypeVar("R", bound=FileDescriptorLike, default=Never)
    W = TypeVar("W", bound=FileDescriptorLike, default=Never)
    X = TypeVar("X", bound=FileDescriptorLike, default=Never)

__all__ = [*(name for name in vars(stdlib) if not name.startswith("_")), "SelectResult"]

_POLL_MS_MAX = 2**31 - 1  # the kernel's limit


def _until_ready(ask: Callable[[], Found], events: dict[int, int], timeout: float | None) -> Found:
    """ask(), which has just found nothing, until it finds something or the time is over."""
    deadline = Deadline(timeout)
    if len(events) == 1:
        # One descriptor, one direction: it can be waited for itself.
        [(fd, mask)] = events.items()
        wait = {POLLIN: _core.wait_read, POLLOUT: _core.wait_write}.get(mask)
        if wait is not None:
            is_over = not wait(fd, deadline.remaining_s())
            if (found := ask()) or is_over:
                return found
            # It was told of something that was not asked for, and would be again at each wait.
    return _until_change(ask, events, deadline)


def _until_change(ask: Callable[[], Found], events: dict[int, int], deadline: Deadline) -> Found:
    try:
        changes = native.epoll()
    except OSError as error:
        if error.errno not in (EMFILE, ENFILE):
            raise
        return _until_found(ask, deadline)  # no descriptor is left
    try:
        for fd, mask in events.items():
            _put_in(changes, fd, mask)
        # A descriptor that is ready already counts as changed when it is put in.
        while _core.wait_read(changes.fileno(), deadline.remaining_s()):
            changes.poll(0)  # from here on only new changes count
            if found := ask():
                return found
        return ask()
    finally:
        _core.fd_forget(changes.fileno())
        changes.close()


def _until_found(ask: Callable[[], Found], deadline: Deadline) -> Found:
    """The same without a descriptor: the kernel is asked again and again."""
    pauses = Pauses(deadline)
    while not (found := ask()):
        try:
            pauses.wait()
        except TimeoutError:
            return ask()
    return found


def _put_in(changes: stdlib.epoll, fd: int, mask: int) -> None:
    try:
        changes.register(fd, mask | EPOLLET)
    except PermissionError:
        pass  # a regular file never changes: the kernel has said what it is ready for


_select: Callable[..., tuple[list[Any], list[Any], list[Any]]] = native.select


def _fd(source: Any) -> int:
    return source if isinstance(source, int) else int(source.fileno())


def _give_way(timeout: float | None) -> None:
    if timeout == 0:
        _core.polled()
    else:
        _core.sleep(0)


def _check_timeout(timeout: Any) -> None:
    if timeout is None:
        return
    if not isinstance(timeout, int | float) and not hasattr(timeout, "__index__"):
        raise TypeError("timeout must be a float or None")
    if timeout < 0:
        raise ValueError("timeout must be non-negative")


@builtin
def select(
    rlist: Iterable[R], wlist: Iterable[W], xlist: Iterable[X], timeout: float | None = None, /
) -> tuple[list[R], list[W], list[X]]:
    """Wait until one of some descriptors is ready, as the standard library's `select.select` does.

    Switches: always; with timeout 0 only a task that does nothing else. Threads: any. Raises what
    that one raises.

    >>> from fibril import select, socket
    >>> left, right = socket.socketpair()
    >>> left.send(b"x")
    1
    >>> select.select([right], [], [])[0] == [right]
    True
    """
    _check_timeout(timeout)
    lists = [each if isinstance(each, list) else list(each) for each in (rlist, wlist, xlist)]
    _give_way(timeout)
    found = _select(*lists, 0)  # it judges the arguments, too
    if any(found) or timeout == 0:
        return found
    events: dict[int, int] = {}
    for sources, mask in zip(lists, (EPOLLIN, EPOLLOUT, EPOLLPRI), strict=True):
        for source in sources:
            events[_fd(source)] = events.get(_fd(source), 0) | mask

    def ask() -> tuple[list[Any], list[Any], list[Any]] | None:
        found = _select(*lists, 0)
        return found if any(found) else None

    return _until_ready(ask, events, timeout) or found


class SelectResult:
    """gevent's object for one `select`.

    Switches: always; with timeout 0 only a task that does nothing else. Threads: any.
    """

    def select(
        self, rlist: Any, wlist: Any, timeout: float | None
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """select(rlist, wlist, [], timeout)."""
        return select(rlist, wlist, [], timeout)


class poll:  # noqa: N801
    """The standard library's `select.poll` object, whose `poll` lets other tasks run.

    What is registered, or not any more, while one waits counts from the next call on, as with the
    kernel's.

    Switches: always; with timeout 0 only a task that does nothing else. Threads: any. Raises what
    that one raises.
    """

    def __init__(self) -> None:
        self._stdlib = native.poll()
        self._events: dict[int, int] = {}
        self._is_under_way = False

    def _change(self) -> None:
        """Leave to who waits what he waits for."""
        if not self._is_under_way:
            return
        self._events, self._stdlib = dict(self._events), native.poll()
        for fd, eventmask in self._events.items():
            self._stdlib.register(fd, eventmask)

    def register(
        self, fd: FileDescriptorLike, eventmask: int = POLLIN | POLLPRI | POLLOUT, /
    ) -> None:
        """Ask for some events of a descriptor."""
        self._change()
        self._stdlib.register(fd, eventmask)
        self._events[_fd(fd)] = eventmask

    def modify(self, fd: FileDescriptorLike, eventmask: int, /) -> None:
        """Ask for other events of a descriptor that is registered."""
        self._change()
        self._stdlib.modify(fd, eventmask)
        self._events[_fd(fd)] = eventmask

    def unregister(self, fd: FileDescriptorLike, /) -> None:
        """Ask for nothing more of a descriptor that is registered."""
        self._change()
        self._stdlib.unregister(fd)
        del self._events[_fd(fd)]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """The descriptors that are ready, each with its events; waits up to `timeout` ms."""
        if timeout is not None and timeout > _POLL_MS_MAX:
            raise OverflowError("timeout is too large")
        if self._is_under_way:
            raise RuntimeError("concurrent poll() invocation")
        self._is_under_way = True
        try:
            return self._poll(timeout)
        finally:
            self._is_under_way = False

    def _poll(self, timeout: float | None) -> list[tuple[int, int]]:
        stdlib, events = self._stdlib, self._events
        _give_way(timeout)
        found = stdlib.poll(0)
        if found or timeout == 0:
            return found
        limit_s = None if timeout is None or timeout < 0 else timeout / 1000
        return _until_ready(lambda: stdlib.poll(0), events, limit_s)


class epoll:  # noqa: N801
    """The standard library's `select.epoll` object, whose `poll` lets other tasks run.

    Switches: always; with timeout 0 only a task that does nothing else. Threads: any. Raises what
    that one raises.
    """

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._stdlib = native.epoll(sizehint, flags)

    @classmethod
    def fromfd(cls, fd: int, /) -> Self:
        """The object of a descriptor that is an epoll already."""
        return cls.around(native.epoll.fromfd(fd))

    @classmethod
    def around(cls, object: stdlib.epoll) -> Self:
        """The cooperative face of an object of the standard library's own class."""
        self = cls.__new__(cls)
        self._stdlib = object
        return self

    @property
    def closed(self) -> bool:
        """Whether the descriptor is closed."""
        return self._stdlib.closed

    def fileno(self) -> int:
        """The number of the epoll descriptor itself."""
        return self._stdlib.fileno()

    def close(self) -> None:
        """Close the descriptor; who waits in `poll` gets OSError (EBADF)."""
        if not self._stdlib.closed:
            _core.fd_forget(self._stdlib.fileno())
        self._stdlib.close()

    def register(
        self, fd: FileDescriptorLike, eventmask: int = EPOLLIN | EPOLLPRI | EPOLLOUT
    ) -> None:
        """Ask for some events of a descriptor."""
        self._stdlib.register(fd, eventmask)

    def modify(self, fd: FileDescriptorLike, eventmask: int) -> None:
        """Ask for other events of a descriptor that is registered."""
        self._stdlib.modify(fd, eventmask)

    def unregister(self, fd: FileDescriptorLike) -> None:
        """Ask for nothing more of a descriptor."""
        self._stdlib.unregister(fd)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """The descriptors that are ready, each with its events; waits up to `timeout` seconds."""
        deadline = Deadline(None if timeout is None or timeout < 0 else timeout)
        _give_way(timeout)
        while not (found := self._stdlib.poll(0, maxevents)) and timeout != 0:
            if not _core.wait_read(self._stdlib.fileno(), deadline.remaining_s()):
                break
        return found

    def __enter__(self) -> Self:
        self._stdlib.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()
