"""What all servers do: take what clients send, and have each handled, as many at once as may be.

The idea: one task of the server accepts in a loop. It waits for a place in the pool first and for a
client then, so whoever cannot be served yet stays in the kernel's queue; who was accepted is handed
to `spawn` and closed when the handler has returned. A subclass says what a client is: `do_read`
takes one, `do_close` lets go of it.

Invariants: what do_read returned is handled or closed, once, whatever is killed meanwhile. A kill
ends accepting only where the task has nothing in hand. A handler that raises ends itself alone.
Threads: the server belongs to the native thread that starts it; stop() and close() may come from
any. After a fork the child may accept, too: it calls start_accepting().
Do not add: what is accepted, and how it is listened for; that is fibril.server.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EBADF, EINVAL, ENOTSOCK
from typing import TYPE_CHECKING, Any

from fibril import _core
from fibril._core import Event, getcurrent, spawn
from fibril._io.accepting import KILL_S, Accepting, Call
from fibril._io.listening import parse_address
from fibril.pool import Group, Pool
from fibril.timeout import Deadline

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from fibril._hub.loop import Loop

__all__ = ["BaseServer", "parse_address"]


class BaseServer:
    """Accept clients and have each handled: what StreamServer and DatagramServer share.

    listener: an address or a socket, which must be bound. As an address: ("host", port),
    "host:port" or "[::1]:port"; for all of this machine's addresses ("", port) or the port alone,
    ":port" for those of IPv4; for a Unix socket "unix:/run/x", "/run/x" or a pathlib.Path.
    handle: what is called for each client, with what do_read() returns; a subclass may have a
    method of that name instead.
    spawn: who calls it. "default": a new task for each; a Pool: as many as have a place in it, and
    the others wait in the kernel; a number: a pool of that size; a function: it is called as
    `fibril.spawn` is; None: the task that accepts, so one at a time.

    A server is a context manager: it is stopped at the end of the block.

    Switches: never; stop() and serve_forever() if they must wait. Threads: owner; stop()
    and close() from any. Raises TypeError or ValueError for what is no listener, or no handler.

    >>> import fibril
    >>> from fibril import socket
    >>> from fibril.server import StreamServer
    >>> def greet(client, address):
    ...     client.sendall(b"hello")
    >>> with StreamServer(("127.0.0.1", 0), greet, spawn=100) as server:
    ...     server.start()
    ...     with socket.create_connection(server.address) as client:
    ...         client.recv(100)
    b'hello'
    """

    #: Seconds that accepting pauses after an error such as EMFILE; twice as long each time. The
    #: error is printed once. A negative `delay` means not to pause.
    min_delay = 0.01
    max_delay = 1.0
    #: After so many clients in a row others have a turn, other processes among them.
    max_accept = 100
    #: Seconds that stop() waits for handlers to end by themselves; None: for ever.
    stop_timeout: float | None = 1.0
    #: Error numbers after which a listener is of no use: the server closes.
    fatal_errors: tuple[int, ...] = (EBADF, EINVAL, ENOTSOCK)

    #: Who runs handlers, if they have to be waited for: see `spawn`.
    pool: Any = None
    #: The listening socket; there is none before start() and after close().
    socket: Any
    #: What is called for each client.
    handle: Callable[..., Any]
    family: int
    address: Any

    _spawn: Any = spawn

    def __init__(
        self, listener: Any, handle: Callable[..., Any] | None = None, spawn: Any = "default"
    ) -> None:
        self._stop_event = Event()
        self._stop_event.set()
        self._accepting: Accepting | None = None
        self._former: list[Accepting] = []  # told to end, and may have a client in hand
        self._stops = 0  # calls of stop() that are under way
        self._stopped = Event()
        self.delay: float = self.min_delay
        try:
            self.set_listener(listener)
            self.set_spawn(spawn)
            self.set_handle(handle)
            if self.max_accept < 1:
                raise ValueError(f"max_accept is {self.max_accept!r}: it must be 1 or more")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} {self._formatinfo()}>"

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self._formatinfo()}>"

    def _formatinfo(self) -> str:
        words = [] if self.closed else [f"fileno={self.socket.fileno()}"]
        address = self.__dict__.get("address")
        if isinstance(address, tuple) and len(address) == 2:
            address = "{}:{}".format(*address)
        words.append(f"address={address}")
        handle: Any = self.__dict__.get("handle")
        if getattr(handle, "__self__", None) is self:  # its repr would be ours again
            words.append(f"handle=<bound method {handle.__qualname__} of self>")
        elif handle is not None:
            words.append(f"handle={handle!r}")
        return " ".join(words)

    # ---- what it is made of ----

    def set_listener(self, listener: Any) -> None:
        """Listen there from the next start() on: an address or a socket, as for the constructor."""
        if not hasattr(listener, "accept"):
            self.family, self.address = parse_address(listener)
            return
        if hasattr(listener, "do_handshake"):
            raise TypeError(
                f"cannot listen on {listener!r}: each connection is wrapped, not the listener. "
                "Give a plain socket, and ssl_context."
            )
        self.family = listener.family
        self.address = listener.getsockname()
        self.socket = listener

    def set_spawn(self, spawn: Any) -> None:
        """Have handlers run by that from now on, as for the constructor."""
        self.pool = None
        if isinstance(spawn, int):
            spawn = Pool(spawn)
        if isinstance(spawn, str) and spawn == "default":
            self.__dict__.pop("_spawn", None)  # the class's
        elif not hasattr(spawn, "spawn"):
            if spawn is not None and not callable(spawn):
                raise TypeError(
                    f"cannot run handlers by {spawn!r}. Give a Pool, a number, a function, "
                    '"default" or None.'
                )
            self._spawn = spawn
        else:
            self._spawn = spawn.spawn
            if not isinstance(spawn, type):  # a class of tasks is no pool
                self.pool = spawn

    def set_handle(self, handle: Callable[..., Any] | None) -> None:
        """Have clients handled by that from now on; None: by the method `handle`."""
        if handle is not None:
            self.handle = handle
        elif not hasattr(self, "handle"):
            raise TypeError(
                f"cannot make a {type(self).__name__} without a handler: 'handle' must be "
                "provided, as an argument or as a method of a subclass"
            )

    @property
    def _handle(self) -> Callable[..., Any]:
        return self.handle

    @property
    def loop(self) -> Loop:
        """The loop of this native thread's hub."""
        loop: Loop = _core.get_hub().loop  # type: ignore[attr-defined]  # fibril.hub's
        return loop

    @property
    def server_host(self) -> str | None:
        """The host that it listens on; None for a Unix socket."""
        return self.address[0] if isinstance(self.address, tuple) else None

    @property
    def server_port(self) -> int | None:
        """The port that it listens on: a real one, once started; None for a Unix socket."""
        return self.address[1] if isinstance(self.address, tuple) else None

    # ---- what subclasses say ----

    def init_socket(self) -> None:
        """Called by start(): see that there is a listening socket, for a subclass to define."""

    def do_read(self) -> Any:
        """Take the next client: what the handler is called with; for a subclass to define.

        It may wait. None, or whatever is false: there was none; it is called again when the socket
        is readable.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to take a client")

    def do_close(self, *args: Any) -> None:
        """Let go of what do_read() returned; for a subclass to define. It must not wait."""

    def is_fatal_error(self, ex: BaseException) -> bool:
        """Is accepting pointless after that error?"""
        return isinstance(ex, OSError) and ex.errno in self.fatal_errors

    def full(self) -> bool:
        """Must the next client wait for a place?"""
        is_full = getattr(self.pool, "full", None)
        return is_full is not None and bool(is_full())

    def do_handle(self, *args: Any) -> None:
        """Have a client handled, and closed when that is over."""
        call = Call(self, args)
        if self._spawn is None:
            call()
            return
        try:
            self._spawn(call)
        except BaseException:
            call.give_up()
            raise

    # ---- accepting ----

    def start(self) -> None:
        """Listen, and accept from now on; nothing happens to a server that does."""
        self.init_socket()
        self._stop_event.clear()
        try:
            self.start_accepting()
        except BaseException:
            self.close()
            raise

    def start_accepting(self) -> None:
        """Accept, or look again whether there is a place; start() does it, and a forked child."""
        if self._accepting is None or self._accepting.has_ended():
            self._accepting = Accepting(self)
        else:
            self._accepting.look_again()

    def stop_accepting(self) -> None:
        """Accept no more for now; who comes waits in the kernel, as far as `backlog` allows."""
        accepting, self._accepting = self._accepting, None
        if accepting is not None:
            self._former = [each for each in self._former if not each.has_ended()]
            self._former.append(accepting)
            accepting.end()

    def _forget(self, accepting: Accepting) -> None:
        if accepting in self._former:
            self._former.remove(accepting)

    @property
    def started(self) -> bool:
        """Has start() been called, and neither stop() nor close()?"""
        return not self._stop_event.is_set()

    @property
    def closed(self) -> bool:
        """Is there no socket? Not yet, or not any more."""
        return "socket" not in self.__dict__

    def close(self) -> None:
        """Accept no more, and close the socket. Handlers go on; start() would listen anew."""
        self._stop_event.set()
        self.stop_accepting()
        listener = self.__dict__.pop("socket", None)
        if listener is not None:
            _core.fd_forget(listener.fileno())  # a plain socket's close() tells nobody
            listener.close()

    def stop(self, timeout: float | None = None) -> None:
        """Close, wait for handlers to end by themselves, and kill those that do not.

        timeout: seconds to wait; None: the attribute stop_timeout.

        Handlers are waited for, and killed, if they have a pool, or run in the task that accepts;
        all that is in the pool counts. Others go on until they end. A handler may call it, and goes
        on itself.
        """
        self._stopped.clear()
        self._stops += 1  # before others hear of the end: see serve_forever()
        try:
            self.close()
            deadline = Deadline(self.stop_timeout if timeout is None else timeout)
            former, self._former = self._former, []
            for accepting in former:
                accepting.wait_end(deadline)
            self._end_handlers(deadline)
        finally:
            self._stops -= 1
            if self._stops == 0:
                self._stopped.set()

    def _end_handlers(self, deadline: Deadline) -> None:
        pool: Any = self.pool
        if isinstance(pool, Group) and getcurrent() in pool:
            pool = Group(task for task in pool if task is not getcurrent())
        if isinstance(pool, Group):
            pool.join(timeout=deadline.remaining_s())
            pool.kill(timeout=KILL_S)
        elif hasattr(pool, "join"):  # of native threads: nobody can kill those
            pool.join(timeout=deadline.remaining_s())

    def serve_forever(self, stop_timeout: float | None = None) -> None:
        """Start, if it has not, and wait until the server is stopped, and so are its handlers.

        stop_timeout: seconds for the handlers, as for stop(). An exception that comes while it
        waits, a Ctrl-C for example, stops the server, too.

        Switches: always. Threads: owner.
        """
        if not self.started:
            self.start()
        try:
            self._stop_event.wait()
        finally:
            if self._stops > 0:  # whose patience is not ours to shorten
                self._stopped.wait()
            self.stop(timeout=stop_timeout)
