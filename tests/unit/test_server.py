"""Servers of connections and of datagrams: how they listen, TLS, and what subclasses may change."""

import contextlib
import io
import os
import re
import socket as stdlib
import ssl as stdlib_ssl
import struct
from pathlib import Path
from typing import Any, ClassVar

import pytest

import fibril
from fibril import socket, ssl
from fibril.event import Event
from fibril.server import DatagramServer, StreamServer
from tests.conftest import Interpreter, until
from tests.serving import LIMIT_S, LOCALHOST, ask, connect, descriptors, echo, listen_to

HOST = "example.invalid"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What hubs print, of whatever thread."""
    stream = io.StringIO()
    monkeypatch.setattr(fibril.hub.Hub, "exception_stream", stream)
    return stream


# ---- listening ----


def test_a_handler_gets_a_socket_of_ours_and_the_address(fresh: None) -> None:
    seen: list[Any] = []
    listeners = [LOCALHOST, socket.create_server(LOCALHOST), stdlib.create_server(LOCALHOST)]
    for listener in listeners:
        with StreamServer(listener, lambda *client: seen.append(client)) as server:
            server.start()
            with connect(server.address) as client:
                assert client.recv(1) == b""
                assert seen[-1][1] == client.getsockname()
        assert type(seen[-1][0]) is socket.socket
        assert seen[-1][0].fileno() == -1


@pytest.mark.parametrize("timeout", [0, 0.001, LIMIT_S])
@pytest.mark.parametrize("kind", [socket.socket, stdlib.socket])
def test_a_listener_may_have_a_timeout(fresh: None, kind: Any, timeout: float) -> None:
    listener = kind(fileno=stdlib.create_server(LOCALHOST).detach())
    listener.settimeout(timeout)
    with StreamServer(listener, echo) as server:
        server.start()
        fibril.sleep(0.005)
        assert [ask(server.address) for _ in range(3)] == [b"hello"] * 3
        assert listener.gettimeout() == timeout


def test_a_bound_socket_need_not_listen_yet(fresh: None) -> None:
    listener = socket.socket()
    listener.bind(LOCALHOST)
    with StreamServer(listener, echo) as server:
        server.start()
        assert ask(server.address) == b"hello"


def test_an_empty_host_is_of_both_families(fresh: None) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no IPv6")
    with StreamServer(("", 0), echo) as server:
        server.start()
        assert server.server_port
        for host in ("127.0.0.1", "::1"):
            assert ask((host, server.server_port)) == b"hello"


def test_without_ipv6_an_empty_host_is_ipv4(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdlib, "has_dualstack_ipv6", lambda: False)
    with StreamServer(0, echo) as server:
        server.start()
        assert server.server_host == "0.0.0.0"
        assert ask(("127.0.0.1", server.server_port)) == b"hello"


def test_ipv6_and_names_are_listened_on(fresh: None) -> None:
    hosts = ["localhost:0"] + ["[::1]:0"] * socket.has_dualstack_ipv6()
    for listener in hosts:
        with StreamServer(listener, echo) as server:
            server.start()
            assert ask(server.address) == b"hello"


def test_backlog_and_reuse_addr_reach_the_socket(fresh: None) -> None:
    with StreamServer(LOCALHOST, echo, backlog=1) as server:
        server.start()
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        info = server.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        assert struct.unpack_from("I", info, 28)[0] == 1  # tcpi_sacked: of a listener, its backlog


def test_servers_share_a_port_that_reuse_it(fresh: None) -> None:
    served: list[str] = []
    with StreamServer(LOCALHOST, lambda *_: served.append("first"), reuse_port=True) as first:
        first.start()
        with pytest.raises(OSError, match=re.escape(f"to listen on {first.address}")):
            StreamServer(first.address, echo).start()
        with StreamServer(first.address, lambda *_: served.append("second")) as second:
            second.reuse_port = True
            second.start()
            for _ in range(60):
                listen_to(first.address)
    assert set(served) == {"first", "second"}


def test_an_address_that_is_taken_is_named(fresh: None) -> None:
    with socket.create_server(LOCALHOST) as listener:
        address = listener.getsockname()
        server = StreamServer(address, echo)
        said = f"Address already in use: to listen on {address}"
        with pytest.raises(OSError, match=re.escape(said)):
            server.start()
        assert not server.started


def test_a_path_is_listened_on_and_taken_away(fresh: None, tmp_path: Path) -> None:
    path = tmp_path / "s"
    for listener in (path, str(path), f"unix:{path}"):
        with StreamServer(listener, echo) as server:
            server.start()
            assert server.address == str(path)
            assert ask(server.address) == b"hello"
        assert not path.exists()


def test_a_path_that_was_left_over_is_bound_again(fresh: None, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(str(path))
    with StreamServer(path, echo) as server:
        server.start()
        with pytest.raises(OSError, match="Address already in use"):
            StreamServer(path, echo).start()
        assert ask(server.address) == b"hello"
        path.unlink()
        path.write_text("somebody's", encoding="utf-8")
    assert path.exists()  # it is not ours
    with pytest.raises(OSError, match="Address already in use"):
        StreamServer(path, echo).start()


def test_an_abstract_name_is_listened_on(fresh: None) -> None:
    with StreamServer(f"\0fibril-test-{os.getpid()}", echo) as server:
        server.start()
        assert ask(server.address) == b"hello"


# ---- what subclasses may change ----


def test_a_subclass_makes_its_listener_and_takes_its_clients(fresh: None) -> None:
    class Own(StreamServer):
        calls: ClassVar[list[str]] = []

        @classmethod
        def get_listener(cls, address: Any, backlog: Any = None, family: Any = None) -> Any:
            cls.calls.append(f"listen {backlog}")
            return super().get_listener(address, backlog, family)

        def init_socket(self) -> None:
            super().init_socket()
            self.calls.append(f"bound {self.server_port}")

        def do_read(self) -> Any:
            found = super().do_read()
            return found and (*found, "more")

        def do_close(self, client: Any, *rest: Any) -> None:
            self.calls.append(f"close {len(rest)}")
            super().do_close(client, *rest)

        def handle(self, client: Any, address: Any, more: str) -> None:
            client.sendall(more.encode())

    with Own(LOCALHOST, backlog=7) as server:
        server.start()
        assert listen_to(server.address) == b"more"
        fibril.sleep(0)
        assert Own.calls == ["listen 7", f"bound {server.server_port}", "close 2"]


def test_a_listener_may_be_made_beforehand(fresh: None) -> None:
    class Quick(StreamServer):
        backlog = 3
        reuse_addr = None

    listener = Quick.get_listener(LOCALHOST)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0
    with Quick(listener, echo) as server:
        server.start()
        assert ask(server.address) == b"hello"


# ---- TLS ----


def ask_by_tls(server: Any, context: Any, request: bytes = b"hello") -> bytes:
    with context.wrap_socket(connect(server.address)) as client:
        client.sendall(request)
        return bytes(client.recv(100))


def echo_once(client: Any, address: Any) -> None:
    client.sendall(client.recv(100))


def test_a_handler_gets_a_tls_socket(fresh: None, tls_contexts: tuple[Any, Any]) -> None:
    seen: list[Any] = []

    def handle(client: Any, address: Any) -> None:
        seen.append((type(client), client.gettimeout(), address))
        echo_once(client, address)

    context, client_context = tls_contexts
    with StreamServer(LOCALHOST, handle, spawn=5, ssl_context=context) as server:
        server.start()
        assert server.ssl_enabled
        assert ask_by_tls(server, client_context) == b"hello"
        assert seen[0][:2] == (ssl.SSLSocket, None)


def test_a_context_of_the_standard_librarys_does_not_keep_the_thread(
    fresh: None, tls_contexts: tuple[Any, Any], tmp_path: Path
) -> None:
    import trustme

    file = tmp_path / "server.pem"
    trustme.CA().issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(file)
    context = stdlib_ssl.SSLContext(stdlib_ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with StreamServer(LOCALHOST, echo_once, ssl_context=context) as server:
        server.start()
        with connect(server.address):  # says nothing
            assert ask_by_tls(server, tls_contexts[1]) == b"hello"


def test_files_make_a_context(fresh: None, tls_contexts: tuple[Any, Any], tmp_path: Path) -> None:
    import trustme

    certificate = trustme.CA().issue_cert(HOST)
    key, chain = tmp_path / "key.pem", tmp_path / "chain.pem"
    certificate.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    with StreamServer(LOCALHOST, echo_once, keyfile=str(key), certfile=str(chain)) as server:
        server.start()
        assert [ask_by_tls(server, tls_contexts[1]) for _ in range(2)] == [b"hello"] * 2


def test_arguments_for_tls_are_looked_at_when_they_are_given() -> None:
    with pytest.raises(FileNotFoundError):
        StreamServer(LOCALHOST, echo, keyfile="/no/such", certfile="/no/such")
    with pytest.raises(ValueError, match="without a certfile"):
        StreamServer(LOCALHOST, echo, server_side=True)
    with pytest.raises(TypeError, match="ssl_context=None"):
        StreamServer(LOCALHOST, echo, ssl_context=None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(TypeError, match="unexpected keyword argument 'keyflie'"):
        StreamServer(LOCALHOST, echo, ssl_context=context, keyflie="key.pem")


def test_who_does_not_shake_hands_is_closed_in_time(
    fresh: None, tls_contexts: tuple[Any, Any], told: io.StringIO
) -> None:
    with StreamServer(LOCALHOST, echo, spawn=1, ssl_context=tls_contexts[0]) as server:
        server.handshake_timeout = 0.01
        server.start()
        with connect(server.address) as silent:
            assert silent.recv(100) == b""
            address = silent.getsockname()
        said = f"StreamServer 127.0.0.1:{server.server_port}: no TLS with {address}: "
        assert told.getvalue() == f"{said}The handshake operation timed out\n"


def test_a_handshake_that_fails_is_told_of_in_a_line(
    fresh: None, tls_contexts: tuple[Any, Any], told: io.StringIO
) -> None:
    context, client_context = tls_contexts
    with StreamServer(LOCALHOST, echo_once, spawn=1, ssl_context=context) as server:
        server.start()
        with connect(server.address) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):  # or TLS's own word for it
                client.recv(100)
        connect(server.address).close()
        assert ask_by_tls(server, client_context) == b"hello"
        first, second = told.getvalue().splitlines()
        assert "no TLS with" in first and "HTTP_REQUEST" in first  # noqa: PT018
        assert "no TLS with" in second


def test_a_stop_ends_handshakes_and_leaves_nothing(
    fresh: None, tls_contexts: tuple[Any, Any], told: io.StringIO
) -> None:
    before = descriptors()
    for turns in range(6):
        server = StreamServer(LOCALHOST, echo, spawn=2, ssl_context=tls_contexts[0])
        server.start()
        clients = [connect(server.address) for _ in range(3)]
        for _ in range(turns):
            fibril.sleep(0)
        server.stop(timeout=0)
        for client in clients:
            client.close()
        if turns:
            assert descriptors() == before, turns
        before = descriptors()
    assert told.getvalue() == ""


def test_who_shakes_hands_while_the_server_stops_is_served(
    fresh: None, tls_contexts: tuple[Any, Any], told: io.StringIO
) -> None:
    context, client_context = tls_contexts
    server = StreamServer(LOCALHOST, echo_once, spawn=2, ssl_context=context)
    server.start()
    plain = connect(server)
    until(lambda: server.pool)
    stopping = fibril.spawn(server.stop, LIMIT_S)
    fibril.sleep(0)
    assert server.closed
    with client_context.wrap_socket(plain) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    stopping.get()
    assert told.getvalue() == ""


def test_an_answer_ends_with_a_farewell_unless_the_handler_failed(
    fresh: None, tls_contexts: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half(StreamServer):
        gate = Event()

        def handle(self, client: Any, address: Any) -> None:
            client.sendall(client.recv(100))
            self.gate.wait()

    context, client_context = tls_contexts
    # 3.11.2 asks OpenSSL to take any end for a farewell, and knows no class for another.
    any_end = getattr(stdlib_ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    cut_off = "SSLError" if client_context.options & any_end else "SSLEOFError"
    monkeypatch.setattr(client_context, "options", client_context.options & ~any_end)
    with Half(LOCALHOST, spawn=5, ssl_context=context) as server:
        server.start()
        clients = [
            client_context.wrap_socket(connect(server.address), suppress_ragged_eofs=False)
            for _ in range(2)
        ]
        for client in clients:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
        server.pool.killone(next(iter(server.pool)))
        server.gate.set()
        ends = []
        for client in clients:
            try:
                ends.append(client.recv(100))
            except OSError as error:
                ends.append(type(error).__name__)
            client.close()
        assert sorted(map(str, ends)) == [cut_off, "b''"]


def test_a_handler_may_have_ended_tls_itself(fresh: None, tls_contexts: tuple[Any, Any]) -> None:
    def handle(client: Any, address: Any) -> None:
        plain = client.unwrap()
        plain.sendall(b"plain")
        if address is None:
            client.close()

    context, client_context = tls_contexts
    with StreamServer(LOCALHOST, handle, spawn=5, ssl_context=context) as server:
        server.start()
        client = client_context.wrap_socket(connect(server.address))
        assert client.recv(100) == b""
        with client.unwrap() as plain:
            assert plain.recv(100) == b"plain"


def test_a_handler_may_shake_hands_by_itself(fresh: None, tls_contexts: tuple[Any, Any]) -> None:
    def handle(client: Any, address: Any) -> None:
        assert client.version() is None
        client.do_handshake()
        echo_once(client, address)

    context, client_context = tls_contexts
    options = {"ssl_context": context, "do_handshake_on_connect": False}
    with StreamServer(LOCALHOST, handle, **options) as server:
        server.start()
        assert ask_by_tls(server, client_context) == b"hello"


# ---- datagrams ----


class Echo(DatagramServer):
    def handle(self, data: bytes, address: Any) -> None:
        self.sendto(data[::-1], address)


def ask_datagram(server: DatagramServer, data: bytes, name: str = "") -> bytes:
    with socket.socket(server.socket.family, socket.SOCK_DGRAM) as client:
        client.settimeout(LIMIT_S)
        if name:
            client.bind(name)
        client.sendto(data, server.address)
        return client.recvfrom(1 << 16)[0]


def test_datagrams_are_handled_and_answered(fresh: None) -> None:
    listeners: list[Any] = [LOCALHOST, "127.0.0.1:0"]
    bound = stdlib.socket(type=stdlib.SOCK_DGRAM)
    bound.bind(LOCALHOST)
    for listener in [*listeners, bound]:
        with Echo(listener, spawn=2) as server:
            server.start()
            assert [ask_datagram(server, b"%d!" % n) for n in range(5)] == [
                b"!%d" % n for n in range(5)
            ]
            assert ask_datagram(server, b"x" * 60_000) == b"x" * 60_000
            assert ask_datagram(server, b"") == b""
        assert server.closed


def test_datagrams_of_unix(fresh: None, tmp_path: Path) -> None:
    with Echo(tmp_path / "s") as server:
        server.start()
        assert ask_datagram(server, b"ab", str(tmp_path / "c")) == b"ba"
    assert not (tmp_path / "s").exists()


def test_a_full_server_of_datagrams_leaves_them_in_the_kernel(fresh: None) -> None:
    gate, seen = Event(), []

    def handle(data: bytes, address: Any) -> None:
        seen.append(data)
        gate.wait()

    with DatagramServer(LOCALHOST, handle, spawn=2) as server:
        server.start()
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            for n in range(4):
                client.sendto(b"%d" % n, server.address)
            fibril.sleep(0.01)
            assert seen == [b"0", b"1"]
            gate.set()
            until(lambda: len(seen) >= 4)
    assert seen == [b"0", b"1", b"2", b"3"]


def test_an_answer_that_was_refused_does_not_end_the_server(fresh: None) -> None:
    with Echo(LOCALHOST) as server:
        server.start()
        gone = socket.socket(type=socket.SOCK_DGRAM)
        gone.bind(LOCALHOST)
        address = gone.getsockname()
        gone.close()
        server.sendto(b"lost", address)
        assert ask_datagram(server, b"ab") == b"ba"
        assert server.delay == server.min_delay


# ---- gevent's names ----


def test_programs_of_gevent_have_these_servers(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        from fibril import compat
        compat.install()
        import gevent
        from gevent import monkey
        monkey.patch_all()
        import socket
        from gevent.baseserver import BaseServer
        from gevent.pool import Pool
        from gevent.server import DatagramServer, StreamServer
        kinds = []
        class Echo(StreamServer):
            def handle(self, client, address):
                kinds.append(type(client) is socket.socket)
                client.sendall(client.makefile("rb").readline())
        listener = socket.create_server(("127.0.0.1", 0))
        server = Echo(listener, spawn=Pool(3))
        forever = gevent.spawn(server.serve_forever)
        gevent.sleep(0)
        with socket.create_connection(server.address) as client:
            client.sendall(b"hello\\n")
            print(client.makefile().read(), kinds, isinstance(server, BaseServer))
        server.stop()
        forever.get()
    """)
    assert out == "hello\n [True] True\n"
