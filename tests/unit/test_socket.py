"""Sockets: the standard library's behaviour, and others run while one waits."""

import errno
import os
import select
import socket as stdlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fibril
from fibril import native, socket
from fibril.testing import wait_all_parked
from tests.conftest import Sim

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


@pytest.fixture
def datagrams() -> Iterator[Pair]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left, right:
        yield left, right


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def has_switched(call: Callable[[], object]) -> bool:
    """Does the call let another task run?"""
    others: list[int] = []
    fibril.spawn(others.append, 1)
    call()
    switched = bool(others)
    fibril.sleep(0)
    return switched


# ---- what they are ----


def test_a_socket_is_a_socket_of_the_standard_library(fresh: None) -> None:
    with socket.socket() as sock:
        assert isinstance(sock, stdlib.socket)
        assert (sock.family, sock.type) == (stdlib.AF_INET, stdlib.SOCK_STREAM)
        assert "fibril" in repr(sock)


def test_the_module_has_every_public_name_of_the_standard_librarys() -> None:
    assert set(stdlib.__all__) <= set(vars(socket))


def test_the_functions_that_make_sockets_make_fibrils(fresh: None, listener: socket.socket) -> None:
    made = [listener, *socket.socketpair(), socket.fromfd(listener.fileno(), 2, 1), listener.dup()]
    made.append(socket.create_connection(listener.getsockname()))
    made.append(listener.accept()[0])
    assert [type(sock) for sock in made] == [socket.socket] * len(made)
    for sock in made:
        sock.close()


def test_importing_fibril_leaves_the_standard_librarys_class_alone() -> None:
    assert "recv" not in vars(stdlib.socket)
    assert stdlib.socket.accept.__module__ == "socket"


# ---- streams ----


def test_others_run_while_one_waits_for_data(fresh: None, pair: Pair) -> None:
    left, right = pair
    order: list[object] = []
    task = fibril.spawn(lambda: order.append(right.recv(10)))
    fibril.sleep(0)
    order.append("sending")
    left.send(b"data")
    task.get()
    assert order == ["sending", b"data"]


def test_data_that_is_there_is_received_without_a_switch(fresh: None, pair: Pair) -> None:
    left, right = pair
    left.send(b"data")
    assert not has_switched(lambda: right.recv(10))


def test_the_end_of_the_stream_is_no_data(fresh: None, pair: Pair) -> None:
    left, right = pair
    task = fibril.spawn(right.recv, 10)
    fibril.sleep(0)
    left.close()
    assert task.get() == b""


def test_sendall_sends_more_than_fits_while_another_reads(fresh: None, pair: Pair) -> None:
    left, right = pair
    data = os.urandom(1 << 20)
    task = fibril.spawn(left.sendall, data)
    received = bytearray()
    while len(received) < len(data):
        received += right.recv(1 << 16)
    assert received == data
    assert task.get() is None


def test_several_may_wait_for_one_socket_and_are_served_in_order(fresh: None, pair: Pair) -> None:
    left, right = pair
    served: list[tuple[int, bytes]] = []

    def serve(number: int) -> None:
        served.append((number, right.recv(1)))

    tasks = [fibril.spawn(serve, number) for number in range(3)]
    fibril.sleep(0)
    for letter in (b"a", b"b", b"c"):
        left.send(letter)
    fibril.joinall(tasks)
    assert served == [(0, b"a"), (1, b"b"), (2, b"c")]


def test_a_file_made_of_a_socket_reads_lines_that_come_in_parts(fresh: None, pair: Pair) -> None:
    left, right = pair
    with right.makefile("r", encoding="utf-8") as file:
        task = fibril.spawn(list, file)
        for part in ("on", "e\ntw", "o\n"):
            fibril.sleep(0)
            left.sendall(part.encode())
        left.close()
        assert task.get() == ["one\n", "two\n"]


def test_recv_waitall_waits_for_all(fresh: None, pair: Pair) -> None:
    left, right = pair
    task = fibril.spawn(right.recv, 4, socket.MSG_WAITALL)
    fibril.sleep(0)
    left.send(b"ab")
    fibril.sleep(0)
    left.send(b"cd")
    assert task.get() == b"abcd"


def test_a_large_file_is_sent_whole(fresh: None, pair: Pair, tmp_path: Path) -> None:
    left, right = pair
    path = tmp_path / "data"
    path.write_bytes(os.urandom(3_000_000))
    for timeout in (None, 5.0):
        left.settimeout(timeout)
        with path.open("rb") as file:
            task = fibril.spawn(left.sendfile, file)
            received = bytearray()
            while len(received) < 3_000_000:
                received += right.recv(1 << 16)
            assert task.get() == 3_000_000
            assert file.tell() == 3_000_000
        assert bytes(received) == path.read_bytes()
    left.settimeout(None)
    assert os.get_blocking(left.fileno())


# ---- timeouts and blocking ----

WAITING: dict[str, Callable[[socket.socket], object]] = {
    "recv": lambda sock: sock.recv(1),
    "recv_into": lambda sock: sock.recv_into(bytearray(1)),
    "recvfrom": lambda sock: sock.recvfrom(1),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(1)),
    "recvmsg": lambda sock: sock.recvmsg(1),
    "recvmsg_into": lambda sock: sock.recvmsg_into([bytearray(1)]),
}


@pytest.mark.parametrize("name", WAITING)
def test_a_timeout_ends_waiting(sim: Sim, pair: Pair, name: str) -> None:
    _, right = pair
    right.settimeout(3)
    began = sim.now()
    with pytest.raises(TimeoutError, match=r"^timed out$"):
        WAITING[name](right)
    assert sim.now() - began == pytest.approx(3)


@pytest.mark.parametrize("name", WAITING)
def test_timeout_0_raises_at_once_and_never_switches(fresh: None, pair: Pair, name: str) -> None:
    _, right = pair
    right.setblocking(False)

    def call() -> None:
        with pytest.raises(BlockingIOError):
            WAITING[name](right)

    assert not has_switched(call)


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.parametrize("timeout", [None, 5.0])
def test_waiting_lets_others_run(fresh: None, pair: Pair, name: str, timeout: float | None) -> None:
    left, right = pair
    right.settimeout(timeout)
    fibril.spawn(left.send, b"x")
    assert has_switched(lambda: WAITING[name](right))


def test_accept_times_out(sim: Sim, listener: socket.socket) -> None:
    listener.settimeout(2)
    with pytest.raises(TimeoutError, match=r"^timed out$"):
        listener.accept()


def test_connect_times_out_and_connect_ex_says_so(sim: Sim, listener: socket.socket) -> None:
    for _ in range(2):
        with socket.socket() as client:
            client.settimeout(2)
            with pytest.raises(TimeoutError, match=r"^timed out$"):
                client.connect(listener.getsockname())
            assert client.gettimeout() == 2
    with socket.socket() as client:
        client.settimeout(2)
        assert client.connect_ex(listener.getsockname()) == errno.EAGAIN


def test_a_send_that_does_not_fit_times_out(sim: Sim, pair: Pair) -> None:
    left, _ = pair
    left.settimeout(2)
    with pytest.raises(TimeoutError, match=r"^timed out$"):
        left.sendall(bytes(1 << 24))


def test_a_non_blocking_read_finds_what_has_come_since_a_short_one(
    fresh: None, listener: socket.socket
) -> None:
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    fibril.spawn(client.send, b"x")
    assert server.recv(10) == b"x"  # it waited, and got less than it asked for
    server.setblocking(False)
    client.send(b"y")
    assert select.select([server], [], [], 20)[0] == [server]
    assert server.recv(10) == b"y"
    client.close()
    server.close()


@pytest.mark.parametrize("name", ["recv", "recvfrom", "recvmsg"])
def test_dontwait_raises_at_once_on_a_blocking_socket(fresh: None, pair: Pair, name: str) -> None:
    _, right = pair
    arguments = (1, 0) if name == "recvmsg" else (1,)
    with pytest.raises(BlockingIOError):
        getattr(right, name)(*arguments, socket.MSG_DONTWAIT)


def test_the_descriptor_of_a_blocking_socket_stays_blocking(
    fresh: None, listener: socket.socket
) -> None:
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    fibril.spawn(server.send, b"x")
    assert client.recv(1) == b"x"
    assert [os.get_blocking(sock.fileno()) for sock in (client, server)] == [True, True]
    client.close()
    server.close()


def test_a_child_process_reads_what_it_inherits(fresh: None, pair: Pair) -> None:
    left, right = pair
    fibril.spawn(left.send, b"12")
    assert right.recv(1) == b"1"
    program = "import os, sys; print(os.read(int(sys.argv[1]), 1).decode(), end='')"
    command = [sys.executable, "-c", program, str(right.fileno())]
    out = subprocess.run(command, pass_fds=[right.fileno()], stdout=-1, timeout=20, check=True)
    assert out.stdout == b"2"


def test_a_listener_that_is_detached_blocks_again(fresh: None) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    listener.accept()[0].close()
    assert listener.gettimeout() is None
    assert not os.get_blocking(listener.fileno())
    fd = listener.detach()
    assert os.get_blocking(fd)
    os.close(fd)
    client.close()


# ---- connections ----


def test_server_and_client_meet(fresh: None, listener: socket.socket) -> None:
    def serve() -> Any:
        connection, address = listener.accept()
        with connection:
            connection.sendall(connection.recv(10).upper())
        return address

    task = fibril.spawn(serve)
    with socket.socket() as client:
        client.connect(listener.getsockname())
        client.sendall(b"hello")
        assert client.recv(10) == b"HELLO"
        assert task.get() == client.getsockname()


def test_accept_tells_the_address_in_every_family(fresh: None, tmp_path: Path) -> None:
    places: list[tuple[int, Any]] = [(socket.AF_UNIX, str(tmp_path / "socket"))]
    if socket.has_dualstack_ipv6():
        places.append((socket.AF_INET6, ("::1", 0)))
    for family, place in places:
        with socket.socket(family) as listener, socket.socket(family) as client:
            listener.bind(place)
            listener.listen()
            client.connect(listener.getsockname())
            peer, address = listener.accept()
            assert address == client.getsockname()
            assert (peer.family, peer.type) == (family, socket.SOCK_STREAM)
            peer.close()


def test_a_name_is_looked_up_for_connect(fresh: None, listener: socket.socket) -> None:
    with socket.socket() as client:
        client.connect(("localhost", listener.getsockname()[1]))
        assert client.getpeername() == listener.getsockname()


def test_a_refused_connection_is_told(fresh: None, listener: socket.socket) -> None:
    address = listener.getsockname()
    listener.close()
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(address)
    with socket.socket() as client:
        assert client.connect_ex(address) == errno.ECONNREFUSED
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_socket_that_was_refused_may_try_again(fresh: None) -> None:
    listener = stdlib.socket()
    listener.bind(("127.0.0.1", 0))
    with socket.socket() as client:
        for _ in range(3):
            assert client.connect_ex(listener.getsockname()) == errno.ECONNREFUSED
        listener.listen()
        client.connect(listener.getsockname())
    listener.close()


def test_connect_with_timeout_0_does_not_wait(fresh: None, listener: socket.socket) -> None:
    with socket.socket() as client:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.connect(listener.getsockname())
        socket.wait_write(client.fileno())
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_connecting_twice_is_refused(fresh: None, listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as client:
        with pytest.raises(OSError, match="already connected"):
            client.connect(listener.getsockname())
        assert client.connect_ex(listener.getsockname()) == errno.EISCONN


def test_a_unix_listener_with_a_full_queue_is_waited_for(fresh: None, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        tasks = [fibril.spawn(client.connect, path) for client in clients]
        for _ in clients:
            listener.accept()[0].close()
        fibril.joinall(tasks, raise_error=True)
        for client in clients:
            client.close()


# ---- datagrams and messages ----


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_datagrams_keep_their_bounds_and_senders(fresh: None, timeout: float | None) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server, socket.socket(type=2) as client:
        server.bind(("127.0.0.1", 0))
        server.settimeout(timeout)
        client.settimeout(timeout)
        task = fibril.spawn(lambda: [server.recvfrom(100) for _ in range(3)])
        fibril.sleep(0)
        client.sendto(b"one", server.getsockname())
        client.sendto(b"two", 0, ("localhost", server.getsockname()[1]))
        client.sendmsg([b"th", b"ree"], [], 0, server.getsockname())
        sender = ("127.0.0.1", client.getsockname()[1])
        assert task.get() == [(b"one", sender), (b"two", sender), (b"three", sender)]


def test_two_readers_with_timeouts_each_get_one_datagram(fresh: None, datagrams: Pair) -> None:
    # Both wake for the first; the one that finds nothing must wait on, and not in the C type.
    left, right = datagrams
    right.settimeout(5)
    tasks = [fibril.spawn(right.recvfrom, 10) for _ in range(2)]
    fibril.sleep(0)
    left.send(b"1")
    fibril.sleep(0)
    fibril.sleep(0)
    left.send(b"2")
    assert sorted(task.get()[0] for task in tasks) == [b"1", b"2"]


def test_a_descriptor_is_passed_as_ancillary_data(fresh: None, pair: Pair) -> None:
    left, right = pair
    reading, writing = os.pipe()
    task = fibril.spawn(socket.recv_fds, right, 10, 1)
    fibril.sleep(0)
    socket.send_fds(left, [b"here"], [writing])
    data, [passed], _, _ = task.get()
    os.write(passed, b"through")
    assert (data, os.read(reading, 10)) == (b"here", b"through")
    for fd in (reading, writing, passed):
        os.close(fd)


def test_several_buffers_are_filled(fresh: None, pair: Pair) -> None:
    left, right = pair
    buffers = [bytearray(2), bytearray(4)]
    task = fibril.spawn(right.recvmsg_into, iter(buffers))
    fibril.sleep(0)
    left.send(b"abcdef")
    assert task.get()[0] == 6
    assert buffers == [b"ab", b"cdef"]


@pytest.mark.parametrize("arguments", [(b"x",), ("x", ("127.0.0.1", 9)), (b"x", 0, 0, 0)])
def test_sendto_refuses_what_the_standard_library_refuses(
    fresh: None, arguments: tuple[Any, ...]
) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock, stdlib.socket(type=2) as other:
        with pytest.raises(TypeError) as expected:
            other.sendto(*arguments)
        with pytest.raises(TypeError) as raised:
            sock.sendto(*arguments)
        assert str(raised.value) == str(expected.value)


# ---- closing ----


@pytest.mark.parametrize("name", WAITING)
def test_closing_ends_waiting_with_ebadf(fresh: None, pair: Pair, name: str) -> None:
    _, right = pair

    def wait() -> int | None:
        with pytest.raises(OSError, match="Bad file") as raised:
            WAITING[name](right)
        return raised.value.errno

    task = fibril.spawn(wait)
    fibril.sleep(0)
    right.close()
    assert task.get() == errno.EBADF


def test_a_descriptor_number_may_be_used_again_behind_our_back(fresh: None) -> None:
    for _ in range(3):
        left, right = socket.socketpair()
        fibril.spawn(left.send, b"x")
        right.recv(1)
        numbers = left.fileno(), right.fileno()
        for sock in (left, right):
            os.close(native_detach(sock))  # nobody tells fibril
        again = socket.socketpair()
        assert {sock.fileno() for sock in again} == set(numbers)
        fibril.spawn(again[0].send, b"y")
        assert again[1].recv(1) == b"y"
        again[0].close()
        again[1].close()


def native_detach(sock: stdlib.socket) -> int:
    return stdlib.SocketType.detach(sock)


def test_using_a_closed_socket_is_refused(fresh: None, pair: Pair) -> None:
    left, _ = pair
    left.close()
    for call in (*WAITING.values(), lambda sock: sock.send(b"x"), lambda sock: sock.accept()):
        with pytest.raises(OSError, match="Bad file"):
            call(left)


def test_a_killed_reader_leaves_the_data_to_the_next(fresh: None, pair: Pair) -> None:
    left, right = pair
    first, second = fibril.spawn(right.recv, 1), fibril.spawn(right.recv, 1)
    fibril.sleep(0)
    first.kill()
    left.send(b"x")
    assert second.get() == b"x"


# ---- bare descriptors, threads ----


def test_a_pipe_is_waited_for(fresh: None) -> None:
    reading, writing = os.pipe()
    fibril.spawn(os.write, writing, b"x")
    socket.wait_read(reading)
    socket.wait_write(writing)
    assert os.read(reading, 1) == b"x"
    os.close(reading)
    os.close(writing)


def test_waiting_for_a_descriptor_times_out_with_the_given_exception(sim: Sim, pair: Pair) -> None:
    left, _ = pair
    with pytest.raises(TimeoutError, match="timed out"):
        socket.wait_read(left.fileno(), 1)
    with pytest.raises(LookupError):
        socket.wait_read(left.fileno(), 1, LookupError())
    with pytest.raises(TimeoutError, match="timed out"):
        socket.wait_readwrite(left.fileno(), 1)


def _fill(sock: socket.socket) -> None:
    sock.setblocking(False)
    for _ in range(10_000):
        try:
            sock.send(bytes(65536))
        except BlockingIOError:
            return
    pytest.fail("it is never full")


def test_a_descriptor_is_waited_for_in_both_directions(fresh: None, pair: Pair) -> None:
    left, right = pair
    socket.wait_readwrite(left.fileno())  # it can be written
    _fill(left)
    task = fibril.spawn(socket.wait_readwrite, left.fileno())
    wait_all_parked()
    assert "to read from or write to" in str(fibril.get_hub().waiting())
    right.send(b"x")
    task.get()
    left.recv(1)
    task = fibril.spawn(socket.wait_readwrite, left.fileno())
    wait_all_parked()
    assert not task.ready()
    right.recv(1 << 24)
    task.get(timeout=10)


def test_closing_a_socket_ends_a_wait_for_both_directions(fresh: None, pair: Pair) -> None:
    left, _ = pair
    _fill(left)
    task = fibril.spawn(socket.wait_readwrite, left.fileno())
    wait_all_parked()
    left.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        task.get()


def test_a_watcher_is_waited_for_until_a_time(sim: Sim) -> None:
    began = sim.now()
    loop = fibril.get_hub().loop
    socket.wait(loop.timer(0.5))
    socket.wait(loop.timer(0.5), hub=fibril.get_hub())
    assert sim.now() == began + 1
    watcher = loop.timer(100)
    with pytest.raises(TimeoutError, match="timed out"):
        socket.wait(watcher, 1)
    with pytest.raises(LookupError):
        socket.wait(watcher, 1, LookupError())
    socket.wait(loop.timer(1), 5)
    assert (sim.now() - began, watcher.active) == (4, False)


def test_a_wait_for_a_watcher_is_cancelled_as_if_it_were_closed(sim: Sim, pair: Pair) -> None:
    left, _ = pair
    watcher = fibril.get_hub().loop.io(left.fileno(), 1)
    task = fibril.spawn(socket.wait, watcher)
    fibril.sleep(0)
    socket.cancel_wait(watcher)
    with pytest.raises(socket.cancel_wait_ex) as caught:
        task.get()
    assert (caught.value.errno, isinstance(caught.value, OSError)) == (socket.EBADF, True)
    task = fibril.spawn(socket.wait, watcher)
    fibril.sleep(0)
    socket.cancel_wait(watcher, LookupError)
    with pytest.raises(LookupError):
        task.get()


def test_a_socket_may_be_used_in_another_native_thread(fresh: None, pair: Pair) -> None:
    left, right = pair
    fibril.spawn(left.recv, 1)  # this thread's hub knows both
    fibril.spawn(right.recv, 1)
    fibril.sleep(0)
    echoed = native.allocate_lock()
    echoed.acquire()

    def echo() -> None:
        right.sendall(right.recv(5))
        echoed.release()

    right.sendall(b"x")
    left.sendall(b"y")
    wait_all_parked()
    native.start_new_thread(echo, ())
    left.sendall(b"hello")
    assert left.recv(5) == b"hello"
    assert echoed.acquire(timeout=10)


def test_sockets_leave_nothing_behind(fresh: None, growth: Any) -> None:
    def use() -> None:
        left, right = socket.socketpair()
        with left, right:
            task = fibril.spawn(right.recv, 1)
            fibril.sleep(0)
            left.send(b"x")
            task.get()

    growth.refuse(use)


# ---- Unix datagrams, of which the kernel tells nothing when the receiver is full ----

SENDS: dict[str, Callable[[Any, bytes, str], Any]] = {
    "sendto": lambda sock, data, path: sock.sendto(data, path),
    "sendmsg": lambda sock, data, path: sock.sendmsg([data], [], 0, path),
}


def fill(sender: socket.socket, path: str) -> int:
    """Send until there is no room; how many there was room for."""
    for count in range(100_000):
        try:
            sender.sendto(b"x", path)
        except BlockingIOError:
            return count
    raise AssertionError("the receiver's queue has no end")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket, str, int]]:
    """A receiver whose queue is full, who sends, its path, and how many are in the queue."""
    path = str(tmp_path / "receiver")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(path)
        sender.setblocking(False)
        yield receiver, sender, path, fill(sender, path)


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
def test_a_datagram_for_a_full_receiver_waits_without_work(full: Any, send: Any) -> None:
    receiver, sender, path, count = full
    sender.setblocking(True)
    task = fibril.spawn(send, sender, b"last", path)
    before = fibril.get_hub().statistics()["switches"]
    fibril.sleep(0.2)
    assert not task.ready()
    assert fibril.get_hub().statistics()["switches"] - before < 50
    for _ in range(count):
        assert receiver.recv(10) == b"x"
    assert receiver.recv(10) == b"last"
    assert task.get() in (4, None)


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
def test_its_timeout_ends_that(full: Any, send: Any) -> None:
    _, sender, path, _ = full
    sender.settimeout(0.02)
    with pytest.raises(TimeoutError):
        send(sender, b"late", path)
    sender.setblocking(False)
    with pytest.raises(BlockingIOError):
        send(sender, b"late", path)
