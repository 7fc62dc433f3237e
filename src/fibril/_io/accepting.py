"""A server's accepting: the task that does it, and what it hands over.

The idea: the task waits for a place first and for a client then. What it has taken is handed over
as a call, which whoever is to run handlers makes, once; whoever drops it closes the client.

Invariants: a client is handled or closed, whatever is killed meanwhile. The task is ended by a kill
only where it has nothing in hand; elsewhere it is told, and hands over first.
Threads: the server's; it may be told to end from any.
Do not add: what a client is, who handles it, when there is a place: the server is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fibril import _core
from fibril._core import Event, getcurrent, sleep, spawn
from fibril.errors import GreenletExit

if TYPE_CHECKING:
    from fibril.baseserver import BaseServer
    from fibril.timeout import Deadline

__all__ = ["KILL_S", "Accepting", "Call", "say"]

KILL_S = 1.0  # how long a stop waits for who was killed


class Call:
    """What a handler's task does: call it with its client, and close that.

    Whoever is to call it may never do so: a task that is killed before it runs, a pool that
    refuses. Then the client is closed when nobody has the call any more.
    """

    __slots__ = ("_args", "_server")

    def __init__(self, server: BaseServer, args: tuple[Any, ...]) -> None:
        self._server = server
        self._args: tuple[Any, ...] | None = args

    def __repr__(self) -> str:
        handle = self._server.handle
        name = getattr(handle, "__qualname__", None) or repr(handle)
        return f"{name}({', '.join(map(repr, (self._args or ())[1:]))})"

    def __call__(self) -> None:
        args, self._args = self._args, None
        if args is None:
            raise RuntimeError("cannot handle a client twice: `spawn` has called it before")
        try:
            self._server._handle(*args)
        finally:
            self._server.do_close(*args)

    def give_up(self) -> None:
        """Nobody will call it: close the client."""
        args, self._args = self._args, None
        if args is not None:
            self._server.do_close(*args)

    __del__ = give_up


class Accepting:
    """A server's accepting, from start_accepting() to stop_accepting(): a task.

    It is ended by a kill where it waits with nothing in hand, elsewhere by being told.
    """

    __slots__ = ("_is_over", "_is_waiting", "_news", "_server", "_task", "_told")

    def __init__(self, server: BaseServer) -> None:
        self._server = server
        self._is_over = False
        self._is_waiting = True  # with no client in hand; also before it has begun
        self._news = Event()  # whoever pauses is to look again
        self._told: object = None  # which error was printed; None: none since the last client
        self._task = spawn(self._run)
        self._task.name = f"accept {server.address}"

    def look_again(self) -> None:
        """There may be a place, or a client, before the pause is over."""
        self._news.set()

    def end(self) -> None:
        """Accept no more; a client in hand is still handed over."""
        self._is_over = True
        self._news.set()
        if self._is_waiting and self._task is not getcurrent():
            self._task.kill(block=False)

    def has_ended(self) -> bool:
        """Is the task gone? Also: it stayed in the parent when the process forked."""
        return self._task.dead

    def wait_end(self, deadline: Deadline) -> None:
        """Wait until it has ended by itself; kill it if that is not in time."""
        if self._task is getcurrent() or self._task.dead:
            return
        self._task.join(deadline.remaining_s())
        self._task.kill(timeout=KILL_S)

    def _run(self) -> None:
        server, in_a_row = self._server, 0
        try:
            while not self._is_over:
                client = self._wait_client()
                if not client:
                    continue
                self._hand_over(client)
                del client  # it is the handler's now
                in_a_row += 1
                if in_a_row >= server.max_accept:
                    in_a_row = 0
                    sleep(0)
        finally:
            if not self._is_over:  # somebody has killed us: nobody accepts now
                server.close()
            server._forget(self)

    def _wait_client(self) -> Any:
        """The next client, once there is a place; None: look again, at what is over perhaps."""
        server = self._server
        self._is_waiting = True
        try:
            if server.full():
                self._wait_place()
                return None
            client = server.do_read()
            if not client:
                _core.wait_read(server.socket.fileno())
                return None
        except GreenletExit:
            raise
        except BaseException as error:
            if not self._is_over:  # else it is what close() has done to us
                self._cope(error)
            return None
        finally:
            self._is_waiting = False
        server.delay, self._told = server.min_delay, None
        return client

    def _wait_place(self) -> None:
        wait_available = getattr(self._server.pool, "wait_available", None)
        if wait_available is not None:
            wait_available()
        if self._server.full():  # for a reason that nobody tells the end of
            self._pause()

    def _hand_over(self, client: Any) -> None:
        server = self._server
        try:
            server.do_handle(*client)
        except BaseException as error:
            if isinstance(error, GreenletExit) and (self._is_over or server._spawn is not None):
                raise  # it is ours, no handler's
            _core.get_hub().handle_error(
                (client[1:], server), type(error), error, error.__traceback__
            )
            if server._spawn is not None:  # no handler's error: it could not be called
                self._pause()

    def _cope(self, error: BaseException) -> None:
        """Tell of an error, and let some time pass."""
        server, kind = self._server, (type(error), getattr(error, "errno", None))
        if server.is_fatal_error(error):
            self._is_over = True
            say(f"ERROR: {server} closes, as it cannot accept: {error}\n")
            server.close()
            return
        if self._told != kind:  # once for all that come in a row
            self._told = kind
            _core.get_hub().handle_error(server, type(error), error, error.__traceback__)
        self._pause()

    def _pause(self) -> None:
        server, pause_s = self._server, self._server.delay
        if pause_s < 0:  # no pause; but others have a turn, who may mend what is wrong
            sleep(0)
            return
        server.delay = min(server.max_delay, pause_s * 2)
        self._news.clear()
        self._news.wait(pause_s)


def say(text: str) -> None:
    """Print what a server has to tell, where tracebacks are printed.

    Switches: never. Threads: any.
    """
    stream: Any = _core.get_hub().exception_stream  # type: ignore[attr-defined]  # fibril.hub's
    if stream is not None:
        stream.write(text)
