"""How servers start, stop and start again, in forks, too; and that nothing is left of them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril import socket
from fibril.event import Event
from fibril.server import StreamServer
from tests.conftest import Growth, Interpreter, until
from tests.serving import LIMIT_S, LOCALHOST, Gated, ask, connect, descriptors, echo, listen_to


def test_a_server_starts_again_where_it_was(fresh: None) -> None:
    server = StreamServer(LOCALHOST, echo, spawn=5)
    addresses = set()
    for _ in range(3):
        server.start()
        server.start()  # nothing
        assert server.started
        addresses.add(server.address)
        assert ask(server) == b"hello"
        server.stop()
        assert (server.started, server.closed) == (False, True)
        with pytest.raises(ConnectionRefusedError):
            connect(server)
    assert len(addresses) == 1


def test_who_comes_while_it_does_not_accept_is_served_later(fresh: None) -> None:
    with StreamServer(LOCALHOST, echo) as server:
        server.start()
        assert ask(server) == b"hello"
        server.stop_accepting()
        client = fibril.spawn(ask, server)
        fibril.sleep(0.01)
        assert not client.ready()
        server.start_accepting()
        assert client.get() == b"hello"


def test_stop_waits_for_handlers(fresh: None) -> None:
    server = Gated(spawn=5)
    server.start()
    clients = [connect(server) for _ in range(3)]
    until(lambda: len(server.inside) >= 3)
    stopping = fibril.spawn(server.stop, LIMIT_S)
    fibril.sleep(0)
    assert server.closed
    assert not stopping.ready()
    server.gate.set()
    stopping.get()
    assert [client.recv(100) for client in clients] == [b"done"] * 3
    assert server.was_killed == 0
    for client in clients:
        client.close()


@pytest.mark.parametrize("spawn", [5, None])
def test_stop_kills_handlers_that_do_not_end(fresh: None, spawn: Any) -> None:
    server = Gated(spawn=spawn)
    server.start()
    with connect(server) as client:
        until(lambda: server.inside)
        server.stop(timeout=0.001)
        assert server.was_killed == 1
        assert client.recv(100) == b""


def test_stop_leaves_handlers_without_a_pool_alone(fresh: None) -> None:
    server = Gated()
    server.start()
    with connect(server) as client:
        until(lambda: server.inside)
        server.stop(timeout=0)
        server.gate.set()
        assert client.recv(100) == b"done"


def test_a_closed_server_can_still_be_stopped(fresh: None) -> None:
    """gunicorn closes, looks at the pool until its patience ends, and stops then."""
    server = Gated(spawn=5)
    server.start()
    with connect(server) as client:
        until(lambda: server.inside)
        server.close()
        server.close()  # nothing
        assert (server.started, server.closed) == (False, True)
        assert (server.pool.free_count(), server.pool.size) == (4, 5)
        assert not hasattr(server, "socket")
        server.stop(timeout=0)
        assert server.was_killed == 1
        assert client.recv(100) == b""


@pytest.mark.parametrize("spawn", ["default", 5, None])
def test_a_handler_may_stop_its_server(fresh: None, spawn: Any) -> None:
    def handle(client: socket.socket, address: Any) -> None:
        server.stop(timeout=LIMIT_S)
        client.sendall(b"stopped")

    server = StreamServer(LOCALHOST, handle, spawn=spawn)
    forever = fibril.spawn(server.serve_forever)
    fibril.sleep(0)
    assert listen_to(server) == b"stopped"
    forever.get()
    assert server.closed


def test_a_handler_that_stops_its_server_waits_for_the_others(fresh: None) -> None:
    class Stopped(Gated):
        def handle(self, client: Any, address: Any) -> None:
            if client.recv(100) == b"stop":
                self.stop(timeout=LIMIT_S)
                client.sendall(b"stopped")
            else:
                super().handle(client, address)

    server = Stopped(spawn=5)
    server.start()
    with connect(server) as other, connect(server) as client:
        other.sendall(b"wait")
        until(lambda: server.inside)
        client.sendall(b"stop")
        until(lambda: not server.started)
        server.gate.set()
        assert [other.recv(100), client.recv(100)] == [b"done", b"stopped"]


def test_a_second_stop_does_not_shorten_the_firsts_patience(fresh: None) -> None:
    server = Gated(spawn=5)
    server.stop_timeout = 0
    forever = fibril.spawn(server.serve_forever)
    fibril.sleep(0)
    with connect(server) as client:
        until(lambda: server.inside)
        stopping = fibril.spawn(server.stop, LIMIT_S)
        fibril.sleep(0.01)
        assert not forever.ready()
        server.gate.set()
        assert client.recv(100) == b"done"
        stopping.get()
        forever.get()


def test_serve_forever_stops_with_its_task(fresh: None) -> None:
    server = Gated(spawn=5)
    forever = fibril.spawn(server.serve_forever, stop_timeout=0)
    fibril.sleep(0)
    with connect(server) as client:
        until(lambda: server.inside)
        forever.kill()
        assert client.recv(100) == b""
    assert (server.closed, server.was_killed) == (True, 1)


def test_another_native_thread_may_stop_it(fresh: None) -> None:
    server = StreamServer(LOCALHOST, echo, spawn=5)
    forever = fibril.spawn(server.serve_forever)
    until(lambda: server.started)
    assert ask(server) == b"hello"
    thread = threading.Thread(target=server.stop)
    thread.start()
    forever.get()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert server.closed


def accepting_task(server: Any) -> Any:
    """The one that reports name so, if it waits."""
    for fiber, *_ in fibril.get_hub().parked():
        if getattr(fiber, "name", "") == f"accept {server.address}":
            return fiber
    return None


def test_who_kills_the_accepting_task_closes_the_server(fresh: None) -> None:
    server = StreamServer(LOCALHOST, echo)
    forever = fibril.spawn(server.serve_forever)
    until(lambda: accepting_task(server))
    fibril.kill(accepting_task(server))
    forever.get()
    assert server.closed


def test_two_servers_accept_from_one_listener(fresh: None) -> None:
    served: list[str] = []
    listener = socket.create_server(LOCALHOST)
    with (
        StreamServer(listener, lambda *_: served.append("first")) as first,
        StreamServer(listener, lambda *_: served.append("second")) as second,
    ):
        first.start()
        second.start()
        assert [listen_to(first) for _ in range(10)] == [b""] * 10
        assert len(served) == 10
        first.stop_accepting()
        assert listen_to(first) == b""
        assert served[-1] == "second"


# ---- nothing is left ----


def test_a_kill_at_any_point_leaves_no_descriptor(fresh: None) -> None:
    """A kill of everybody who waits, after each number of turns."""
    fibril.get_hub().call_soon(int)
    ask_once = StreamServer(LOCALHOST, echo, spawn=1)
    ask_once.start()
    assert ask(ask_once) == b"hello"
    ask_once.stop()
    before = descriptors()
    for turns in range(12):
        server = StreamServer(LOCALHOST, echo, spawn=2)
        server.start()
        clients = [connect(server) for _ in range(4)]
        for client in clients:
            client.sendall(b"x")
        for _ in range(turns):
            fibril.sleep(0)
        fibril.killall(list(server.pool), block=False)
        fibril.sleep(0)
        server.stop(timeout=0)
        for client in clients:
            client.close()
        assert descriptors() == before, turns


@pytest.mark.parametrize("timeout", [0, LIMIT_S])
def test_a_client_in_hand_is_served_or_closed(fresh: None, timeout: float) -> None:
    """It was accepted when the place in the pool was free, which another has taken since."""

    def spawn(call: Callable[[], object]) -> None:
        waiting.append(call)
        place.wait()
        fibril.spawn(call)

    waiting: list[object] = []
    place = Event()
    server = StreamServer(LOCALHOST, lambda client, _: client.sendall(b"done"), spawn=spawn)
    server.start()
    with connect(server) as client:
        until(lambda: waiting)
        waiting.clear()
        stopping = fibril.spawn(server.stop, timeout)
        fibril.sleep(0.001)
        assert server.closed
        place.set()
        stopping.get()
        assert client.recv(100) == (b"done" if timeout else b"")


def test_a_handler_killed_before_it_began_closes_its_client(fresh: None) -> None:
    left, right = socket.socketpair()
    with StreamServer(LOCALHOST, echo, spawn=5) as server, right:
        server.do_handle(left, None)
        server.pool.kill(block=False)
        assert right.recv(100) == b""


def test_what_is_handed_to_spawn_is_called_once(fresh: None) -> None:
    calls: list[Callable[[], object]] = []
    with StreamServer(LOCALHOST, echo, spawn=calls.append) as server:
        server.start()
        with connect(server) as client:
            until(lambda: calls)
            assert repr(calls[0]) == f"echo({client.getsockname()!r})"
            client.shutdown(socket.SHUT_WR)
            calls[0]()
            with pytest.raises(RuntimeError, match="twice"):
                calls[0]()


def test_nothing_grows_with_connections(fresh: None, growth: Growth) -> None:
    with StreamServer(LOCALHOST, echo, spawn=5) as server:
        server.start()
        growth.refuse(lambda: ask(server), 50)


def test_nothing_grows_with_servers(fresh: None, growth: Growth) -> None:
    def serve() -> None:
        with StreamServer(LOCALHOST, echo, spawn=5) as server:
            server.start()
            ask(server)

    growth.refuse(serve, 50)


# ---- fork ----


def test_children_of_a_fork_accept_from_what_the_parent_bound(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, sys, fibril
        from fibril import socket
        from fibril.server import StreamServer
        def handle(client, address):
            client.sendall(b"%d" % os.getpid())
            if client.recv(10) == b"stop":
                server.stop()
        server = StreamServer(("127.0.0.1", 0), handle, spawn=3)
        server.init_socket()
        children = []
        for _ in range(2):
            child = os.fork()
            if not child:
                server.serve_forever()
                os._exit(0)
            children.append(child)
        server.stop()
        seen = set()
        for _ in range(2):
            with socket.create_connection(server.address) as client:
                client.sendall(b"stop")
                seen.add(int(client.recv(100)))
        print(seen == set(children), [os.waitpid(child, 0)[1] for child in children])
    """)
    assert out == "True [0, 0]\n"


def test_a_child_of_a_fork_starts_accepting_or_stops(interpreter: Interpreter) -> None:
    """Its parent was serving: the task that accepts stayed there, and so did handlers."""
    out = interpreter.out("""
        import os, fibril
        from fibril import socket
        from fibril.event import Event
        from fibril.server import StreamServer
        def handle(client, address):
            client.sendall(b"%d" % os.getpid())
            client.recv(10)
        server = StreamServer(("127.0.0.1", 0), handle, spawn=1)
        server.start()
        first = socket.create_connection(server.address)
        assert int(first.recv(100)) == os.getpid()
        child = os.fork()
        if not child:
            first.close()
            server.start_accepting()
            with socket.create_connection(server.address) as client:
                assert int(client.recv(100)) == os.getpid()
            server.stop()
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        first.close()
        second = socket.create_connection(server.address)
        print(int(second.recv(100)) == os.getpid())
    """)
    assert out == "7\nTrue\n"
