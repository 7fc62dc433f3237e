"""What TLS sockets read and write: as the standard library's, and no byte of a writer is lost."""

import socket as stdlib_socket
import ssl as stdlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fibril
from fibril import socket, ssl

Ends = tuple[ssl.SSLSocket, ssl.SSLSocket]
RECORD = 16384  # bytes, the most that one record carries
MUCH = 1 << 21  # bytes: more than lies in the buffers below


def tcp_pair() -> tuple[Any, Any]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return listener.accept()[0], client


def narrow_pair() -> tuple[Any, Any]:
    """Over TCP: OpenSSL 3.6 says farewell where it finds the end, and a closed socketpair refuses
    that. The buffers hold less than MUCH."""
    pair = tcp_pair()
    for sock in pair:
        sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_SNDBUF, 1 << 16)
        sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_RCVBUF, 1 << 16)
    return pair


@pytest.fixture
def connect(tls_contexts: tuple[Any, Any]) -> Iterator[Callable[..., Ends]]:
    made: list[Any] = []

    def connected(pair: Callable[[], Any] = socket.socketpair, **options: Any) -> Ends:
        left, right = pair()
        task = fibril.spawn(tls_contexts[0].wrap_socket, left, server_side=True, **options)
        client = tls_contexts[1].wrap_socket(right, **options)
        made.extend([task.get(), client])
        client.sendall(b"x")  # what comes behind the handshake is out of the way
        assert task.get().recv(1) == b"x"
        task.get().sendall(b"x")
        assert client.recv(1) == b"x"
        return task.get(), client

    yield connected
    for sock in made:
        sock.close()


def read_all(sock: ssl.SSLSocket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def fill(sock: ssl.SSLSocket, byte: bytes = b".") -> int:
    """Send until a record is stuck in OpenSSL; how many bytes were sent before it."""
    timeout = sock.gettimeout()
    sock.settimeout(0)
    sent = 0
    while True:
        try:
            sent += sock.send(byte * RECORD)
        except stdlib.SSLWantWriteError:
            sock.settimeout(timeout)
            return sent


def runs(data: bytes) -> list[tuple[bytes, int]]:
    """The data as (byte, how often)."""
    found: list[tuple[bytes, int]] = []
    while data:
        length = len(data) - len(data.lstrip(data[:1]))
        found.append((data[:1], length))
        data = data[length:]
    return found


def test_no_python_runs_between_a_call_and_openssl(fresh: None, connect: Any) -> None:
    server, client = connect()
    called: list[str] = []

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)

    def talk() -> None:
        buffer = bytearray(10)
        sys.setprofile(profile)
        client.send(b"ab")
        server.recv(1)
        server.recv_into(buffer)
        client.sendall(b"c")
        server.read(10)
        sys.setprofile(None)

    talk()
    assert called == []


def test_a_reader_who_finds_nothing_parks_and_no_exception_is_made(
    fresh: None, connect: Any
) -> None:
    server, client = connect()
    task = fibril.spawn(server.recv, 10)
    fibril.sleep(0)
    assert not task.ready()
    client.send(b"hello")
    assert task.get() == b"hello"


def test_what_openssl_has_decrypted_is_read_though_the_socket_is_empty(
    fresh: None, connect: Any
) -> None:
    server, client = connect()
    client.send(b"abc")
    assert [server.recv(1) for _ in range(3)] == [b"a", b"b", b"c"]


def test_two_records_that_came_at_once_are_read_one_by_one(fresh: None, connect: Any) -> None:
    server, client = connect()
    task = fibril.spawn(server.recv, 10)
    fibril.sleep(0)
    client.send(b"one")
    client.send(b"two")
    assert (task.get(), server.recv(10)) == (b"one", b"two")


def test_lengths_are_as_the_standard_librarys(fresh: None, connect: Any) -> None:
    server, client = connect()
    assert server.recv(0) == b""
    assert server.read(0) == b""
    assert server.recv_into(bytearray(), 0) == 0
    with pytest.raises(ValueError, match="size should not be negative"):
        server.recv(-1)
    with pytest.raises(TypeError):
        server.recv("3")
    with pytest.raises(TypeError):
        server.recv_into(b"constant")
    with pytest.raises(TypeError):
        client.send("text")
    with pytest.raises(TypeError, match=r"use send\(data, flags=0\)"):
        client.send()
    client.send(data=memoryview(b"abcdef")[::1])
    buffer = bytearray(4)
    assert server.recv_into(buffer, nbytes=2) == 2
    assert server.read(2, buffer) == 2
    assert server.recv(buflen=10, flags=0) == b"ef"
    assert buffer == b"cd\0\0"


@pytest.mark.parametrize(
    ("method", "args"),
    [("recv", (1,)), ("recv_into", (bytearray(1), 1)), ("send", (b"x",)), ("sendall", (b"x",))],
)
def test_flags_are_refused_as_by_the_standard_library(
    fresh: None, connect: Any, method: str, args: tuple[Any, ...]
) -> None:
    server, _ = connect()
    message = rf"^non-zero flags not allowed in calls to {method}\(\) on <class"
    with pytest.raises(ValueError, match=message):
        getattr(server, method)(*args, 1)


def test_a_closed_socket_says_so_in_the_standard_librarys_words(fresh: None, connect: Any) -> None:
    server, _ = connect()
    server.close()
    with pytest.raises(ValueError, match=r"^Read on closed or unwrapped SSL socket\.$"):
        server.read(1)
    with pytest.raises(ValueError, match=r"^Write on closed or unwrapped SSL socket\.$"):
        server.write(b"x")
    for call in (lambda: server.recv(1), lambda: server.send(b"x"), lambda: server.sendall(b"x")):
        with pytest.raises(OSError, match="Bad file descriptor"):
            call()


@pytest.mark.parametrize("is_suppressed", [True, False])
def test_an_end_without_farewell_is_an_end_or_an_error_as_the_user_says(
    fresh: None, tls_contexts: tuple[Any, Any], connect: Any, is_suppressed: bool
) -> None:
    if tls_contexts[1].options & getattr(stdlib, "OP_IGNORE_UNEXPECTED_EOF", 0):
        is_suppressed = True  # 3.11.2 asks OpenSSL for that, whatever the user says
    server, client = connect(tcp_pair, suppress_ragged_eofs=is_suppressed)
    task = fibril.spawn(client.recv, 1)
    into = fibril.spawn(client.recv_into, bytearray(1))
    fibril.sleep(0)
    stdlib_socket.socket.shutdown(server, stdlib_socket.SHUT_RDWR)
    fibril.joinall([task, into])
    if is_suppressed:
        assert (task.value, into.value) == (b"", 0)
    else:
        assert isinstance(task.exception, stdlib.SSLEOFError)
        assert isinstance(into.exception, stdlib.SSLEOFError)


def test_two_writers_lose_no_byte_of_each_other(fresh: None, connect: Any) -> None:
    server, client = connect(narrow_pair)
    writers = [fibril.spawn(client.sendall, letter * MUCH) for letter in (b"a", b"b", b"c")]
    fibril.sleep(0)
    reader = fibril.spawn(read_all, server)
    fibril.joinall(writers)
    client.close()
    data = reader.get()
    assert [data.count(letter) for letter in (b"a", b"b", b"c")] == [MUCH] * 3
    assert all(length % RECORD == 0 for _, length in runs(data))


def test_small_messages_of_two_writers_that_are_the_same_arrive_twice(
    fresh: None, connect: Any
) -> None:
    server, client = connect(narrow_pair)
    sent = fill(client)
    first = fibril.spawn(client.send, b"same")
    fibril.sleep(0)
    second = fibril.spawn(client.send, b"same")
    fibril.sleep(0)
    reader = fibril.spawn(read_all, server)
    assert (first.get(), second.get()) == (4, 4)
    client.close()
    assert reader.get() == b"." * (sent + RECORD) + b"same" * 2


def test_who_is_killed_in_the_middle_of_a_record_takes_nothing_of_the_next_writers(
    fresh: None, connect: Any
) -> None:
    server, client = connect(narrow_pair)
    killed = fibril.spawn(client.sendall, b"a" * MUCH)
    fibril.sleep(0)
    assert not killed.ready()
    killed.kill()
    reader = fibril.spawn(read_all, server)
    client.sendall(b"b" * MUCH)
    client.close()
    (a, a_count), (b, b_count) = runs(reader.get())
    assert (a, b, b_count) == (b"a", b"b", MUCH)
    assert a_count % RECORD == 0


def test_a_send_that_is_killed_tells_how_much_and_meets_the_kill_at_the_next_wait(
    fresh: None, connect: Any
) -> None:
    server, client = connect(narrow_pair)
    counts: list[int] = []

    def write() -> None:
        counts.append(client.send(b"a" * MUCH))
        fibril.sleep(100)

    task = fibril.spawn(write)
    fibril.sleep(0)
    task.kill(block=False)
    fibril.joinall([task])
    assert task.successful()  # GreenletExit is a value
    assert 0 < counts[0] < MUCH
    assert counts[0] % RECORD == 0
    reader = fibril.spawn(read_all, server)
    client.sendall(b"b")
    client.close()
    assert runs(reader.get()) == [(b"a", counts[0] + RECORD), (b"b", 1)]


def test_a_send_whose_time_is_up_tells_how_much_or_raises_if_it_was_nothing(
    fresh: None, connect: Any
) -> None:
    server, client = connect(narrow_pair)
    client.settimeout(0.001)
    sent = client.send(b"a" * MUCH)
    assert 0 < sent < MUCH
    with pytest.raises(TimeoutError, match=r"^The write operation timed out$"):
        client.send(b"b")
    reader = fibril.spawn(read_all, server)
    client.settimeout(None)
    # The same bytes again are that record's repetition; other bytes come behind it.
    assert client.send(b"a" * (MUCH - sent)) == MUCH - sent
    client.close()
    assert runs(reader.get()) == [(b"a", MUCH)]


def test_who_repeats_a_send_after_want_write_sends_it_once(fresh: None, connect: Any) -> None:
    server, client = connect(narrow_pair)
    client.settimeout(0)
    data = bytes(range(256)) * 8192
    sent = 0
    reader = None
    while sent < len(data):
        try:
            sent += client.send(data[sent:])
        except stdlib.SSLWantWriteError:
            reader = reader or fibril.spawn(read_all, server)
            socket.wait_write(client.fileno())
    client.close()
    assert reader is not None
    assert reader.get() == data


def test_a_farewell_comes_behind_what_could_not_be_sent(fresh: None, connect: Any) -> None:
    server, client = connect(narrow_pair)
    sent = fill(client)
    client.settimeout(None)
    received: list[bytes] = []

    def read() -> None:
        received.append(read_all(server))
        server.unwrap()

    reader = fibril.spawn(read)
    client.unwrap()
    reader.get()
    assert len(received[0]) == sent + RECORD


def test_what_is_thrown_at_a_reader_takes_no_byte(fresh: None, connect: Any) -> None:
    server, client = connect()
    data = bytes(range(256)) * 64
    received = bytearray()

    def read() -> None:
        while True:
            received.extend(server.recv(7))

    writer = fibril.spawn(client.sendall, data)
    while len(received) < len(data):
        reader = fibril.spawn(read)
        fibril.sleep(0)
        reader.kill()
    writer.get()
    assert received == data


def test_an_ended_tls_ends_who_waits(fresh: None, connect: Any) -> None:
    server, client = connect()
    task = fibril.spawn(client.read, 1)
    fibril.sleep(0)
    client.shutdown(stdlib_socket.SHUT_RD)
    fibril.joinall([task])
    assert isinstance(task.exception, ValueError)
    assert "closed or unwrapped" in str(task.exception)
    server.close()


def test_the_methods_are_the_same_where_a_program_is_patched(
    interpreter: Any, tmp_path: Path
) -> None:
    out = interpreter.out("""
        from fibril import monkey
        monkey.patch_all()
        import ssl
        import fibril.ssl
        for name in ("read", "write", "recv", "recv_into", "send", "sendall"):
            assert vars(ssl.SSLSocket)[name] is vars(fibril.ssl.SSLSocket)[name], name
            print(getattr(ssl.SSLSocket, name).__text_signature__)
    """)
    assert out.count("$self") == 6


def test_reading_and_writing_leave_nothing_behind(fresh: None, connect: Any, growth: Any) -> None:
    server, client = connect()

    def use() -> None:
        sent = fill(client)
        task = fibril.spawn(client.send, b"x" * RECORD)
        fibril.sleep(0)
        task.kill()
        rest = fibril.spawn(client.sendall, b"")
        received = 0
        while received < sent + RECORD:
            received += len(server.recv(1 << 16))
        rest.get()

    growth.refuse(use, times=30)
