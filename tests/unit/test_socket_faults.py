"""Peers that misbehave, and tasks that are killed at every point: no accepted byte is lost, and
nothing is left."""

import errno
import gc
import random
import socket as stdlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fibril
from fibril import socket, ssl
from tests.conftest import Interpreter

LIMIT_S = 20.0
CHUNK = 5000  # bytes
TOTAL = 200 * CHUNK
Pair = tuple[Any, Any]


def descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def plain_pair() -> Pair:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server = listener.accept()[0]
    for sock in (client, server):
        sock.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_SNDBUF, 1 << 14)
        sock.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_RCVBUF, 1 << 14)
    return server, client


@pytest.fixture(params=["plain", "TLS"])
def pair(
    request: pytest.FixtureRequest, tls_contexts: tuple[Any, Any]
) -> Iterator[Callable[[], Pair]]:
    made: list[Any] = []

    def connected() -> Pair:
        server, client = plain_pair()
        if request.param == "TLS":
            task = fibril.spawn(tls_contexts[0].wrap_socket, server, server_side=True)
            client = tls_contexts[1].wrap_socket(client)
            server = task.get()
        made.extend([server, client])
        return server, client

    yield connected
    for sock in made:
        sock.close()


def reset(sock: Any) -> None:
    """Close without the peer's consent: what is under way is lost."""
    sock.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def waiting(call: Callable[..., Any], *args: Any) -> Any:
    task = fibril.spawn(call, *args)
    fibril.sleep(0.001)
    assert not task.ready()
    return task


# ---- peers ----


def test_a_reset_is_told_to_who_reads_and_who_writes(fresh: None, pair: Any) -> None:
    server, client = pair()
    reader = waiting(client.recv, 1)
    writer = waiting(client.sendall, bytes(TOTAL * 4))
    reset(server)
    fibril.joinall([reader, writer])
    errors = [task.exception for task in (reader, writer)]
    assert all(isinstance(error, OSError) for error in errors if error)
    assert isinstance(writer.exception, OSError | ssl.SSLEOFError)
    if not isinstance(writer.exception, ssl.SSLError):
        assert writer.exception.errno in (errno.ECONNRESET, errno.EPIPE)
    # One of the two is told of the reset; the other, that the stream is over.
    assert reader.value == b"" or isinstance(reader.exception, ConnectionResetError)


def test_who_has_closed_one_half_is_still_answered(fresh: None) -> None:
    server, client = plain_pair()
    with server, client:
        reader = waiting(server.recv, 10)
        client.sendall(b"last")
        client.shutdown(stdlib.SHUT_WR)
        assert (reader.get(), server.recv(10)) == (b"last", b"")
        answer = waiting(client.recv, 10)
        server.sendall(b"answer")
        assert answer.get() == b"answer"


def test_a_peer_that_sends_one_byte_at_a_time(fresh: None, pair: Any) -> None:
    server, client = pair()

    def dribble() -> None:
        for byte in range(200):
            client.send(bytes([byte]))
            fibril.sleep(0)

    task = fibril.spawn(dribble)
    with server.makefile("rb") as file:
        assert file.read(200) == bytes(range(200))
    task.get()


def test_a_handshake_that_comes_byte_by_byte(fresh: None, tls_contexts: tuple[Any, Any]) -> None:
    """Through a relay that passes on one byte at a time."""
    (server, left), (right, client) = plain_pair(), plain_pair()

    def relay(source: Any, target: Any) -> None:
        while byte := source.recv(1):
            target.send(byte)

    relays = [fibril.spawn(relay, left, right), fibril.spawn(relay, right, left)]
    task = fibril.spawn(tls_contexts[0].wrap_socket, server, server_side=True)
    with tls_contexts[1].wrap_socket(client) as end, task.get() as other:
        end.sendall(b"hello")
        assert other.recv(10) == b"hello"
        fibril.killall(relays)
    left.close()
    right.close()


def test_a_peer_that_stalls_is_given_up_in_time(fresh: None, pair: Any) -> None:
    server, client = pair()
    for sock in (server, client):
        sock.settimeout(0.002)
    with pytest.raises(TimeoutError):
        server.recv(1)
    with pytest.raises(TimeoutError):
        client.sendall(bytes(TOTAL * 4))


@pytest.mark.parametrize("how", ["stalls", "resets", "closes", "talks nonsense"])
def test_a_handshake_with_who(fresh: None, tls_contexts: tuple[Any, Any], how: str) -> None:
    server, client = plain_pair()
    server.settimeout(0.01 if how == "stalls" else LIMIT_S)
    task = waiting(tls_contexts[0].wrap_socket, server, True) if how != "stalls" else None
    if how == "stalls":
        with pytest.raises(TimeoutError, match=r"^The handshake operation timed out$"):
            tls_contexts[0].wrap_socket(server, True)
    elif how == "resets":
        reset(client)
    elif how == "closes":
        client.close()
    else:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    if task is not None:
        fibril.joinall([task])
        assert isinstance(task.exception, OSError)  # SSLError is one
    client.close()


# ---- closed by another ----


@pytest.mark.parametrize("call", ["recv", "sendall", "recv_into"])
def test_who_waits_is_told_that_another_has_closed(fresh: None, pair: Any, call: str) -> None:
    _, client = pair()
    args = {"recv": (1,), "recv_into": (bytearray(1),), "sendall": (bytes(TOTAL * 4),)}[call]
    task = waiting(getattr(client, call), *args)
    client.close()
    fibril.joinall([task])
    assert isinstance(task.exception, OSError)
    assert task.exception.errno == errno.EBADF


def test_accept_connect_and_handshake_are_told_that_another_has_closed(
    fresh: None, tls_contexts: tuple[Any, Any], tmp_path: Path
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    accepting = waiting(listener.accept)
    listener.close()
    full = socket.socket(stdlib.AF_UNIX)
    full.bind(str(tmp_path / "s"))
    full.listen(0)
    first, second = socket.socket(stdlib.AF_UNIX), socket.socket(stdlib.AF_UNIX)
    first.connect(str(tmp_path / "s"))
    connecting = waiting(second.connect, str(tmp_path / "s"))
    second.close()
    server, client = plain_pair()
    wrapped = tls_contexts[0].wrap_socket(server, True, do_handshake_on_connect=False)
    shaking = waiting(wrapped.do_handshake)
    wrapped.close()
    tasks = [accepting, connecting, shaking]
    fibril.joinall(tasks)
    for task in tasks:
        assert isinstance(task.exception, OSError | ValueError), task
    for sock in (full, first, client):
        sock.close()


# ---- descriptors used up ----


def test_descriptors_that_are_used_up_are_told_and_the_connection_is_not_lost(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import errno, os, resource
        import fibril
        from fibril import socket
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        fibril.sleep(0)
        client.sendall(b"hello")
        last = os.dup(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, last + 1))
        for call in (listener.accept, socket.socketpair, client.dup):
            try:
                call()
            except OSError as error:
                print(errno.errorcode[error.errno])
        os.close(last)
        connection, _ = listener.accept()
        print(connection.recv(10))
    """)
    assert out == "EMFILE\nEMFILE\nEMFILE\nb'hello'\n"


# ---- killed at every point ----


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("means", ["kill", "timeout"])
def test_kills_and_timeouts_at_any_time_lose_no_accepted_byte(
    fresh: None, pair: Any, means: str, seed: int
) -> None:
    """Writers and readers take turns on one connection, each until somebody ends it."""
    chance = random.Random(seed)
    server, client = pair()
    data = chance.randbytes(TOTAL)
    sent, received = [0], bytearray()

    def write() -> None:
        while sent[0] < TOTAL:
            sent[0] += client.send(data[sent[0] : sent[0] + CHUNK])

    def read() -> None:
        while len(received) < TOTAL:
            received.extend(server.recv(chance.randrange(1, 2 * CHUNK)))

    def work(what: Callable[[], None]) -> None:
        seconds = chance.choice([0, 0.0001, 0.0005]) if means == "timeout" else None
        with fibril.Timeout(seconds, exception=False):
            what()

    def keep_up(what: Callable[[], None], is_done: Callable[[], bool]) -> None:
        for _ in range(20_000):
            if is_done():
                return
            task = fibril.spawn(work, what)
            for _ in range(chance.randrange(6)):
                fibril.sleep(0)
            if means == "kill":
                task.kill()
            else:
                task.join()
        pytest.fail(f"seed {seed}: {sent[0]} bytes sent, {len(received)} received")

    tasks = [
        fibril.spawn(keep_up, write, lambda: sent[0] >= TOTAL),
        fibril.spawn(keep_up, read, lambda: len(received) >= TOTAL),
    ]
    for task in tasks:
        task.get()
    assert received == data


# The standard library closes what it has made only where an OSError comes: else the last reference.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seed", range(3))
def test_connecting_accepting_and_shaking_hands_are_killed_and_nothing_is_left(
    fresh: None, tls_contexts: tuple[Any, Any], seed: int
) -> None:
    chance = random.Random(seed)
    before = descriptors()
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    fibril.sleep(0.001)  # the hub's own descriptors are there
    own = descriptors()

    def serve() -> None:
        with listener.accept()[0] as conn, tls_contexts[0].wrap_socket(conn, True) as end:
            end.sendall(end.recv(5))

    def ask() -> None:
        with (
            socket.create_connection(address) as conn,
            tls_contexts[1].wrap_socket(conn) as end,
        ):
            end.sendall(b"hello")
            assert end.recv(5) in (b"hello", b"")

    done = 0
    for _ in range(150):
        tasks = [fibril.spawn(quietly, call) for call in (serve, ask)]
        for _ in range(chance.randrange(12)):
            fibril.sleep(0)
        chance.choice(tasks).kill()
        fibril.joinall(tasks, timeout=0.001)
        done += sum(task.ready() for task in tasks)
        fibril.killall(tasks)
        drain(listener)
    assert done > 0
    tasks.clear()
    gc.collect()
    assert descriptors() - own == set()
    listener.close()
    assert descriptors() - before <= own - before


def quietly(call: Callable[[], None]) -> None:
    try:
        call()
    except OSError:
        pass  # the other end was killed


def drain(listener: Any) -> None:
    """Connections whose server was killed before it could accept them."""
    listener.settimeout(0)
    try:
        while True:
            listener.accept()[0].close()
    except BlockingIOError:
        listener.settimeout(None)


def test_what_a_signal_handler_raises_where_main_waits_takes_nothing(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import signal
        import fibril
        from fibril import socket

        class Now(Exception):
            pass

        def handle(*unused):
            raise Now

        signal.signal(signal.SIGALRM, handle)

        def interrupted(call, *args):
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            try:
                call(*args)
            except Now:
                return
            raise AssertionError(call)

        listener = socket.create_server(("127.0.0.1", 0))
        interrupted(listener.accept)
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        interrupted(server.recv, 10)
        interrupted(server.recv_into, bytearray(10))
        interrupted(server.recvfrom, 10)
        client.sendall(b"hello")
        print(server.recv(10))
        sent = 0
        client.settimeout(0)
        try:
            while True:
                sent += client.send(b"x" * 65536)
        except BlockingIOError:
            client.settimeout(None)
        interrupted(client.send, b"y")
        interrupted(client.sendall, b"y")
        client.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: server.recv(1 << 20), b""))
        print(len(received) == sent, received.strip(b"x"))
    """)
    assert out == "b'hello'\nTrue b''\n"
