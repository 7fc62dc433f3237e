"""TLS: the standard library's sockets and errors, and others run while one waits."""

import _socket
import socket as stdlib_socket
import ssl as stdlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import fibril
from fibril import socket, ssl
from tests.conftest import Interpreter, Sim

trustme = pytest.importorskip("trustme")

HOST = "example.invalid"


class World(NamedTuple):
    """Two ends of TLS that trust each other."""

    server: stdlib.SSLContext
    client: stdlib.SSLContext
    certificate: str
    authority: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert(HOST)
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    server = ssl.cooperate(stdlib.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    server.load_cert_chain(folder / "server.pem")
    client = ssl.create_default_context(cafile=folder / "ca.pem")
    return World(server, client, str(folder / "server.pem"), str(folder / "ca.pem"))


Ends = tuple[ssl.SSLSocket, ssl.SSLSocket]


def tcp_pair() -> tuple[Any, Any]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return listener.accept()[0], client


@pytest.fixture
def connect(world: World) -> Iterator[Callable[..., Ends]]:
    """Makes a server's and a client's socket after the handshake, in the thread that calls it."""
    made: list[Any] = []

    def connected(pair: Callable[[], Any] = socket.socketpair) -> Ends:
        left, right = pair()
        task = fibril.spawn(world.server.wrap_socket, left, server_side=True)
        client = world.client.wrap_socket(right, server_hostname=HOST)
        made.extend([task.get(), client])
        return task.get(), client  # type: ignore[return-value]

    yield connected
    for sock in made:
        sock.close()


def test_it_offers_what_ssl_does_and_not_what_ssl_imports() -> None:
    assert set(stdlib.__dict__) - set(ssl.__all__) > {"sys", "os", "errno", "_ssl"}
    assert {"SSLContext", "CERT_NONE", "SSLError", "wrap_socket"} < set(ssl.__all__)


def test_the_sockets_are_the_standard_librarys_and_fibrils(fresh: None, connect: Any) -> None:
    server, client = connect()
    for sock in (server, client):
        assert isinstance(sock, stdlib.SSLSocket)
        assert isinstance(sock, socket.socket)
    assert client.getpeercert()["subjectAltName"] == (("DNS", HOST),)
    assert isinstance(client.context, stdlib.SSLContext)


def test_the_context_is_the_standard_librarys_but_for_its_sockets() -> None:
    assert ssl.SSLContext.__bases__ == (stdlib.SSLContext,)
    assert ssl.SSLContext.sslsocket_class is ssl.SSLSocket
    assert stdlib.SSLContext.sslsocket_class is stdlib.SSLSocket
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # the property calls super() by name
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    plain = stdlib.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert isinstance(plain, ssl.SSLContext)
    assert issubclass(stdlib.SSLContext, ssl.SSLContext)
    assert not isinstance(stdlib, ssl.SSLContext)
    for make in (ssl.create_default_context, ssl._create_unverified_context):
        assert type(make()) is ssl.SSLContext


def test_contexts_of_gevent_ssl_wrap_sockets_that_let_others_run_without_a_patch(
    interpreter: Interpreter, world: World
) -> None:
    """Both ends in one thread: a handshake that kept the thread would never end."""
    out = interpreter.out(f"""
        import fibril.compat
        fibril.compat.install()
        import gevent
        from gevent import socket, ssl
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain({world.certificate!r})
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations({world.authority!r})
        left, right = socket.socketpair()
        task = gevent.spawn(server.wrap_socket, left, server_side=True)
        end = client.wrap_socket(right, server_hostname={HOST!r})
        echo = gevent.spawn(lambda: task.get().sendall(task.get().recv(5)))
        end.sendall(b"hello")
        print(end.recv(5), type(end) is ssl.SSLSocket)
    """)
    assert out == "b'hello' True\n"


def test_the_module_has_all_names_of_the_standard_librarys() -> None:
    assert set(stdlib.__dict__) - {n for n in vars(stdlib) if n[0] == "_"} <= set(vars(ssl))


def test_data_goes_both_ways_while_others_run(fresh: None, connect: Any) -> None:
    server, client = connect()
    order: list[object] = []
    task = fibril.spawn(lambda: order.append(server.recv(10)))
    fibril.sleep(0)
    order.append("sending")
    client.sendall(b"hello")
    task.get()
    assert order == ["sending", b"hello"]
    buffer = bytearray(10)
    task = fibril.spawn(client.recv_into, buffer)
    fibril.sleep(0)
    assert server.send(b"back") == 4
    assert (task.get(), bytes(buffer[:4])) == (4, b"back")


def test_more_than_fits_is_sent_while_another_reads(fresh: None, connect: Any) -> None:
    server, client = connect()
    data = bytes(range(256)) * 8192
    task = fibril.spawn(server.sendall, data)
    with client.makefile("rb") as file:
        assert file.read(len(data)) == data
    task.get()


def test_both_directions_at_once(fresh: None, connect: Any) -> None:
    server, client = connect()
    data = bytes(1 << 20)

    def receive(sock: ssl.SSLSocket) -> int:
        count = 0
        while count < len(data):
            count += len(sock.recv(1 << 16))
        return count

    tasks = [fibril.spawn(sock.sendall, data) for sock in (server, client)]
    tasks += [fibril.spawn(receive, sock) for sock in (server, client)]
    assert [task.get() for task in tasks] == [None, None, len(data), len(data)]


def test_reading_gives_up_in_time(sim: Sim, world: World) -> None:
    # Without a handshake: in the simulated world no byte arrives.
    left, right = socket.socketpair()
    left.settimeout(3)
    began = sim.now()
    with right, pytest.raises(TimeoutError, match=r"^The handshake operation timed out$"):
        world.server.wrap_socket(left, server_side=True)
    assert sim.now() - began == pytest.approx(3)


def test_a_read_that_waits_too_long_times_out(fresh: None, connect: Any) -> None:
    server, client = connect()
    client.settimeout(0.001)
    with pytest.raises(TimeoutError, match=r"^The read operation timed out$"):
        client.recv(1)
    with pytest.raises(TimeoutError, match=r"^The write operation timed out$"):
        client.sendall(bytes(1 << 24))
    server.close()


def test_timeout_0_raises_what_it_wants_and_never_switches(fresh: None, connect: Any) -> None:
    _, client = connect()
    client.setblocking(False)
    others: list[int] = []
    fibril.spawn(others.append, 1)
    with pytest.raises(stdlib.SSLWantReadError):
        client.recv(1)
    assert others == []
    fibril.sleep(0)


def test_the_timeout_that_is_seen_is_the_one_that_was_set(fresh: None, connect: Any) -> None:
    server, client = connect()
    assert client.gettimeout() is None
    for value in (5.0, 0.0, None, 2.5):
        client.settimeout(value)
        assert (client.gettimeout(), client.timeout) == (value, value)
        server.send(b"x")
        socket.wait_read(client.fileno())
        assert client.recv(1) == b"x"
        assert (client.gettimeout(), client.timeout) == (value, value)
        assert client.getblocking() is (value != 0)
    with pytest.raises(ValueError, match="out of range"):
        client.settimeout(-1)
    assert client.gettimeout() == 2.5


def test_a_timeout_that_is_set_while_another_waits_lets_the_c_level_wait_no_more_than_before(
    fresh: None, connect: Any
) -> None:
    server, client = connect()
    at_c_level: list[float | None] = []

    def read() -> bytes:
        at_c_level.append(_socket.socket.gettimeout(server))
        if len(at_c_level) == 1:
            raise ssl.SSLWantReadError
        return b"read"

    reading = fibril.spawn(ssl._repeat, server, "read", None, read)
    fibril.sleep(0)
    server.settimeout(20)
    client.send(b"x")
    assert reading.get() == b"read"
    assert at_c_level == [0, 0]


def test_a_handshake_may_be_asked_for_later(fresh: None, world: World) -> None:
    left, right = socket.socketpair()
    server = world.server.wrap_socket(left, server_side=True, do_handshake_on_connect=False)
    client = world.client.wrap_socket(right, server_hostname=HOST, do_handshake_on_connect=False)
    client.setblocking(False)
    task = fibril.spawn(server.do_handshake)
    client.do_handshake(block=True)
    task.get()
    assert client.gettimeout() == 0
    assert client.version() == server.version()
    client.close()
    server.close()


def test_after_unwrap_the_socket_goes_on_in_clear_text(fresh: None, connect: Any) -> None:
    server, client = connect()
    server.settimeout(20)
    task = fibril.spawn(server.unwrap)
    plain = client.unwrap()
    assert task.get().gettimeout() == 20
    task = fibril.spawn(plain.recv, 10)
    fibril.sleep(0)
    server.sendall(b"clear")
    assert task.get() == b"clear"


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_a_large_file_is_sent_whole(
    fresh: None, connect: Any, tmp_path: Path, timeout: float | None
) -> None:
    server, client = connect()
    server.settimeout(timeout)
    (tmp_path / "data").write_bytes(data := bytes(range(256)) * 4000)
    with (tmp_path / "data").open("rb") as file:
        task = fibril.spawn(server.sendfile, file)
        received = bytearray()
        while len(received) < len(data):
            received += client.recv(1 << 16)
        assert task.get() == file.tell() == len(data)
    assert bytes(received) == data


def test_the_end_of_the_stream_is_no_data(fresh: None, connect: Any) -> None:
    # Over TCP, because OpenSSL 3.6 still says farewell there, which a closed socketpair refuses.
    server, client = connect(tcp_pair)
    task = fibril.spawn(client.recv, 1)
    fibril.sleep(0)
    server.close()
    assert task.get() == b""


def test_closing_ends_waiting(fresh: None, connect: Any) -> None:
    _, client = connect()
    task = fibril.spawn(client.recv, 1)
    fibril.sleep(0)
    client.close()
    fibril.joinall([task])
    assert isinstance(task.exception, OSError)


def test_a_detached_socket_is_in_the_mode_that_was_set(fresh: None, connect: Any) -> None:
    server, client = connect()
    server.send(b"x")
    assert client.recv(1) == b"x"
    with stdlib_socket.socket(fileno=client.detach()) as plain:
        assert stdlib_socket.SocketType.getblocking(plain)


def test_a_refused_certificate_is_told_to_both(fresh: None, world: World) -> None:
    left, right = socket.socketpair()
    task = fibril.spawn(world.server.wrap_socket, left, server_side=True)
    with pytest.raises(stdlib.SSLCertVerificationError):
        world.client.wrap_socket(right, server_hostname="other.invalid")
    fibril.joinall([task])
    assert isinstance(task.exception, stdlib.SSLError)


def test_a_tls_listener_accepts_and_a_client_connects(fresh: None, world: World) -> None:
    listener = world.server.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
    task = fibril.spawn(listener.accept)
    client = world.client.wrap_socket(socket.socket(), server_hostname=HOST)
    client.connect(listener.getsockname())
    server, address = task.get()
    assert address == client.getsockname()
    server.send(b"x")
    assert client.recv(1) == b"x"
    for sock in (server, client, listener):
        sock.close()


def test_a_servers_certificate_can_be_fetched(fresh: None, world: World) -> None:
    listener = world.server.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)

    def serve() -> None:
        listener.accept()[0].close()

    task = fibril.spawn(serve)
    text = ssl.get_server_certificate(listener.getsockname(), timeout=20)
    task.get()
    assert text in Path(world.certificate).read_text(encoding="utf-8")
    listener.close()


PATCHED_AFTER_WRAPPING = """
    import socket, ssl, threading
    certificate, authority, host = {arguments!r}
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    client = ssl.create_default_context(cafile=authority)
    left, right = socket.socketpair()
    ends = []
    thread = threading.Thread(
        target=lambda: ends.append(server.wrap_socket(left, server_side=True)))
    thread.start()
    ends.append(client.wrap_socket(right, server_hostname=host))
    thread.join()
    ends.sort(key=lambda end: end.server_side)

    from fibril import monkey
    monkey.patch_all()
    import fibril

    context_class = type(client)
    task = fibril.spawn(ends[0].recv, 5)
    fibril.sleep(0)
    ends[1].sendall(b"hello")
    print(task.get(), type(ends[0]) is ssl.SSLSocket, context_class is ssl.SSLContext)
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    for end in ends:
        end.close()
    """


def test_sockets_wrapped_before_the_patch_are_served(
    interpreter: Interpreter, world: World
) -> None:
    arguments = (world.certificate, world.authority, HOST)
    program = PATCHED_AFTER_WRAPPING.format(arguments=arguments)
    assert interpreter.out(program) == "b'hello' True True\n"


def test_tls_sockets_leave_nothing_behind(fresh: None, world: World, growth: Any) -> None:
    def use() -> None:
        left, right = socket.socketpair()
        task = fibril.spawn(world.server.wrap_socket, left, server_side=True)
        client = world.client.wrap_socket(right, server_hostname=HOST)
        with client, task.get() as server:
            server.send(b"x")
            client.recv(1)

    growth.refuse(use, times=30)


def test_the_older_way_to_wrap_a_socket(fresh: None, world: World) -> None:
    left, right = socket.socketpair()
    task = fibril.spawn(ssl.wrap_socket, left, certfile=world.certificate, server_side=True)
    client = ssl.wrap_socket(right, cert_reqs=ssl.CERT_REQUIRED, ca_certs=world.authority)
    with client, task.get() as server:
        assert (type(client), type(server)) == (ssl.SSLSocket, ssl.SSLSocket)
        reader = fibril.spawn(client.recv, 5)
        fibril.sleep(0)  # it waits, and we go on
        server.sendall(b"hello")
        assert reader.get() == b"hello"
    for wrong in ({"server_side": True}, {"keyfile": world.certificate}):
        with pytest.raises(ValueError, match="certfile"):
            ssl.wrap_socket(left, **wrong)
