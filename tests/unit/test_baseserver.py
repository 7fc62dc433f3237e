"""What all servers share: their addresses, who runs handlers, and what goes wrong."""

import errno
import io
import threading
from collections.abc import Callable
from pathlib import Path
from socket import AF_INET, AF_INET6, AF_UNIX
from typing import Any, ClassVar

import pytest

import fibril
from fibril import socket
from fibril.baseserver import BaseServer, parse_address
from fibril.pool import Pool
from fibril.server import StreamServer
from fibril.threadpool import ThreadPool
from tests.conftest import Interpreter
from tests.serving import LIMIT_S, LOCALHOST, Gated, ask, connect, echo, listen_to


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What hubs print, of whatever thread."""
    stream = io.StringIO()
    monkeypatch.setattr(fibril.hub.Hub, "exception_stream", stream)
    return stream


# ---- what it is made of ----


@pytest.mark.parametrize(
    ("listener", "family", "address"),
    [
        (("127.0.0.1", 80), AF_INET, ("127.0.0.1", 80)),
        (("localhost", 80), AF_INET, ("localhost", 80)),
        (("::1", 80), AF_INET6, ("::1", 80)),
        (("::1", 80, 0, 2), AF_INET6, ("::1", 80, 0, 2)),
        (("", 80), AF_INET6, ("", 80)),
        ((None, 80), AF_INET6, ("", 80)),
        ("127.0.0.1:80", AF_INET, ("127.0.0.1", 80)),
        ("[::1]:80", AF_INET6, ("::1", 80)),
        ("*:80", AF_INET, ("", 80)),
        (":80", AF_INET, ("", 80)),
        ("80", AF_INET6, ("", 80)),
        (80, AF_INET6, ("", 80)),
        ("/run/x", AF_UNIX, "/run/x"),
        ("./x:1", AF_UNIX, "./x:1"),
        ("unix:x", AF_UNIX, "x"),
        ("\0name", AF_UNIX, "\0name"),
        (Path("/run/x"), AF_UNIX, "/run/x"),
    ],
)
def test_addresses_are_understood(listener: Any, family: int, address: Any) -> None:
    assert parse_address(listener) == (family, address)
    server = StreamServer(listener, echo)
    assert (server.family, server.address) == (family, address)
    assert server.server_port == (None if family == AF_UNIX else 80)
    assert server.server_host == (None if family == AF_UNIX else address[0])
    assert server.closed
    assert not server.started


@pytest.mark.parametrize(
    ("listener", "kind", "says"),
    [
        ("localhost", ValueError, "'localhost' is no port"),
        ("localhost:http", ValueError, "'http' is no port"),
        (1.5, TypeError, "cannot listen on 1.5"),
        (None, TypeError, "cannot listen on None"),
    ],
)
def test_what_is_no_address_is_refused(listener: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        StreamServer(listener, echo)


def test_a_server_without_a_handler_is_refused() -> None:
    with pytest.raises(TypeError, match="'handle' must be provided"):
        StreamServer(LOCALHOST)


def test_what_is_refused_with_a_socket_closes_that() -> None:
    listener = socket.create_server(LOCALHOST)
    with pytest.raises(TypeError, match="backlog must be None"):
        StreamServer(listener, echo, backlog=5)
    assert listener.fileno() == -1


def test_a_listener_of_tls_is_refused(tls_contexts: tuple[Any, Any]) -> None:
    plain = socket.create_server(LOCALHOST)
    with (
        tls_contexts[0].wrap_socket(plain, server_side=True) as listener,
        pytest.raises(TypeError, match="ssl_context"),
    ):
        StreamServer(listener, echo)


def test_max_accept_is_at_least_one() -> None:
    class Never(StreamServer):
        max_accept = 0

    with pytest.raises(ValueError, match="max_accept is 0"):
        Never(LOCALHOST, echo)


@pytest.mark.parametrize("spawn", ["no such word", 1.5])
def test_what_cannot_run_handlers_is_refused(spawn: Any) -> None:
    with pytest.raises(TypeError, match="cannot run handlers by"):
        StreamServer(LOCALHOST, echo, spawn=spawn)


def test_a_server_says_what_it_is(fresh: None) -> None:
    server = StreamServer(LOCALHOST, echo)
    assert str(server) == f"<StreamServer address=127.0.0.1:0 handle={echo!r}>"
    with server:
        server.start()
        number, port = server.socket.fileno(), server.server_port
        start = f"<StreamServer at {id(server):#x} fileno={number} address=127.0.0.1:{port} "
        assert repr(server) == f"{start}handle={echo!r}>"
        server.set_handle(server.do_close)
        said = "handle=<bound method StreamServer.do_close of self>"
        assert repr(server) == f"{start}{said}>"


# ---- who runs handlers ----


class Job(fibril.Task):
    """A class of tasks of the program's own."""


@pytest.mark.parametrize(
    "spawn", ["default", Pool(2), 2, fibril.spawn, fibril.spawn_raw, Job, Pool(2, Job), None]
)
def test_handlers_run_where_they_are_told(fresh: None, spawn: Any) -> None:
    fibers: list[Any] = []

    def handle(client: socket.socket, address: Any) -> None:
        fibers.append(fibril.getcurrent())
        echo(client, address)

    with StreamServer(LOCALHOST, handle, spawn=spawn) as server:
        server.start()
        assert (server.pool is None) == (not isinstance(spawn, Pool | int))
        assert [ask(server, b"%d" % n) for n in range(3)] == [b"0", b"1", b"2"]
        assert len({id(fiber) for fiber in fibers}) == (1 if spawn is None else 3)
        kind = Job if spawn is Job or getattr(spawn, "greenlet_class", None) is Job else fibril.Task
        assert {type(fiber) for fiber in fibers} == {
            fibril.Fiber if spawn is fibril.spawn_raw else kind
        }


def test_handlers_may_run_in_native_threads(fresh: None) -> None:
    threads: list[int] = []

    def handle(client: socket.socket, address: Any) -> None:
        threads.append(threading.get_ident())
        client.sendall(client.recv(100))

    pool = ThreadPool(2)
    with StreamServer(LOCALHOST, handle, spawn=pool) as server:
        server.start()
        assert ask(server) == b"hello"
    assert threads != [threading.get_ident()]
    pool.kill()


def test_who_has_no_place_waits_in_the_kernel(fresh: None) -> None:
    with Gated(spawn=2) as server:
        server.start()
        clients = [connect(server) for _ in range(4)]
        fibril.sleep(0.01)
        assert len(server.inside) == 2
        assert server.full()
        server.gate.set()
        assert [client.recv(100) for client in clients] == [b"done"] * 4
        for client in clients:
            client.close()


def test_two_servers_share_a_pool(fresh: None) -> None:
    pool = Pool(1)
    with Gated(spawn=pool) as first, Gated(spawn=pool) as second:
        first.start()
        second.start()
        clients = [connect(server) for server in (first, second, first, second)]
        fibril.sleep(0.01)
        assert len(first.inside + second.inside) == 1
        first.gate.set()
        second.gate.set()
        assert [client.recv(100) for client in clients] == [b"done"] * 4
        for client in clients:
            client.close()


def test_a_server_that_says_it_is_full_is_asked_again(fresh: None) -> None:
    class Moody(StreamServer):
        is_full = True
        max_delay = 0.01

        def full(self) -> bool:
            return self.is_full

    with Moody(LOCALHOST, echo) as server:
        server.start()
        client = fibril.spawn(ask, server)
        fibril.sleep(0.02)
        assert not client.ready()
        server.is_full = False
        assert client.get() == b"hello"


def test_start_accepting_ends_a_pause(fresh: None) -> None:
    class Moody(StreamServer):
        is_full = True
        min_delay = max_delay = 1000.0

        def full(self) -> bool:
            return self.is_full

    with Moody(LOCALHOST, echo) as server:
        server.start()
        fibril.sleep(0)
        server.is_full = False
        server.start_accepting()
        assert ask(server) == b"hello"


def test_others_have_a_turn_after_max_accept_clients(fresh: None) -> None:
    order: list[str] = []

    class Fair(StreamServer):
        max_accept = 1

        def do_read(self) -> Any:
            order.append("accept")
            return super().do_read()

    with Fair(LOCALHOST, lambda *client: order.append("handle")) as server:
        server.init_socket()
        clients = [connect(server) for _ in range(3)]
        server.start()
        fibril.sleep(0.01)
        assert order == ["accept", "handle"] * 3 + ["accept"]
        for client in clients:
            client.close()


# ---- what goes wrong ----


@pytest.mark.fibril_unseen_ok("what the handlers raise is looked for in what is printed")
@pytest.mark.parametrize("spawn", ["default", 5, None])
def test_a_handler_that_raises_is_told_of_once_and_the_server_goes_on(
    fresh: None, told: io.StringIO, spawn: Any
) -> None:
    def handle(client: socket.socket, address: Any) -> None:
        if (data := client.recv(100)) == b"bad":
            raise ValueError("a mistake of the handler's")
        client.sendall(data)

    with StreamServer(LOCALHOST, handle, spawn=spawn) as server:
        server.start()
        assert [ask(server, text) for text in (b"good", b"bad", b"good")] == [b"good", b"", b"good"]
        assert told.getvalue().count("ValueError: a mistake of the handler's") == 1
        assert server.delay == server.min_delay


def test_a_spawn_that_raises_costs_that_client(fresh: None, told: io.StringIO) -> None:
    failures = [OSError("no more"), MemoryError("no more")]

    def spawn(call: Callable[[], object]) -> None:
        if failures:
            raise failures.pop()
        fibril.spawn(call)

    with StreamServer(LOCALHOST, echo, spawn=spawn) as server:
        server.start()
        assert [listen_to(server) for _ in range(2)] == [b"", b""]
        assert ask(server) == b"hello"
        assert told.getvalue().count(": no more") == 2


def test_errors_of_accept_are_told_of_once_and_nobody_is_lost(
    fresh: None, told: io.StringIO
) -> None:
    class Troubled(StreamServer):
        min_delay, max_delay = 0.001, 0.004
        errors: ClassVar = [errno.EMFILE] * 5 + [errno.ENOMEM] * 2
        delays: ClassVar[list[float]] = []

        def do_read(self) -> Any:
            self.delays.append(self.delay)
            if self.errors:
                raise OSError(self.errors.pop(0), "of the test")
            return super().do_read()

    with Troubled(LOCALHOST, echo) as server:
        server.start()
        assert ask(server) == b"hello"
        assert told.getvalue().count(f"[Errno {errno.EMFILE}] of the test") == 1
        assert told.getvalue().count(f"[Errno {errno.ENOMEM}] of the test") == 1
        assert server.delays[:8] == [0.001, 0.002, 0.004, 0.004, 0.004, 0.004, 0.004, 0.004]
        assert server.delay == server.min_delay


def test_without_a_pause_others_have_a_turn(fresh: None, told: io.StringIO) -> None:
    class Hasty(StreamServer):
        min_delay = -1
        is_well = False

        def do_read(self) -> Any:
            if not self.is_well:
                raise OSError(errno.EMFILE, "of the test")
            return super().do_read()

    with Hasty(LOCALHOST, echo) as server:
        server.start()
        fibril.sleep(0.001)
        server.is_well = True
        assert ask(server) == b"hello"


def test_where_descriptors_run_out_nobody_is_lost(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, resource, sys, fibril
        from fibril import socket
        from fibril.server import StreamServer
        fibril.get_hub().exception_stream = None
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        def handle(client, address):
            client.recv(1)
            client.sendall(b"done")
        server = StreamServer(("127.0.0.1", 0), handle)
        server.max_delay = 0.02
        server.start()
        filling = []
        clients = [socket.create_connection(server.address) for _ in range(10)]
        try:
            while True:
                filling.append(os.dup(0))
        except OSError:
            pass
        fibril.sleep(0.05)
        for fd in filling:
            os.close(fd)
        for client in clients:
            client.sendall(b"x")
        print({client.recv(100) for client in clients})
    """)
    assert out == "{b'done'}\n"


def test_a_listener_that_is_of_no_use_closes_the_server(fresh: None, told: io.StringIO) -> None:
    with StreamServer(LOCALHOST, echo) as server:
        server.start()
        waiting = fibril.spawn(server.serve_forever)
        fibril.sleep(0)
        server.socket.close()  # behind its back
        waiting.join(LIMIT_S)
        assert waiting.successful()
        assert server.closed
    assert "closes, as it cannot accept: [Errno 9]" in told.getvalue()
    assert told.getvalue().count("\n") == 1


def test_what_do_read_raises_does_not_end_the_server(fresh: None, told: io.StringIO) -> None:
    class Odd(StreamServer):
        results: ClassVar[list[Any]] = [fibril.Timeout(1), ZeroDivisionError(), None, ()]
        min_delay = 0.001

        def do_read(self) -> Any:
            if not self.results:
                return super().do_read()
            result = self.results.pop(0)
            if isinstance(result, BaseException):
                raise result
            return result

    with Odd(LOCALHOST, echo) as server:
        server.start()
        assert ask(server) == b"hello"
        assert "ZeroDivisionError" in told.getvalue()


def test_a_base_server_says_that_it_is_not_whole(fresh: None, told: io.StringIO) -> None:
    with BaseServer(LOCALHOST, echo) as server:
        server.socket = socket.create_server(LOCALHOST)
        server.start()
        fibril.sleep(0)
        assert "NotImplementedError: BaseServer does not say how to take" in told.getvalue()
