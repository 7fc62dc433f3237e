"""Sockets that are not TCP, and what is sent beside bytes: as the standard library's, and others
run meanwhile."""

import array
import errno
import os
import socket as stdlib
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fibril
from fibril import socket
from tests.conftest import Interpreter

LOCALHOST = ("127.0.0.1", 0)
LIMIT_S = 20.0


@pytest.fixture
def made() -> Iterator[list[Any]]:
    made: list[Any] = []
    yield made
    for sock in made:
        sock.close()


def in_turn(wait: Callable[..., Any], *args: Any) -> Any:
    """A task that waits, has been seen to wait, and what it is."""
    task = fibril.spawn(wait, *args)
    fibril.sleep(0)
    assert not task.ready()
    return task


@pytest.mark.parametrize(
    ("kind", "is_whole"),
    [(stdlib.SOCK_STREAM, False), (stdlib.SOCK_DGRAM, True), (stdlib.SOCK_SEQPACKET, True)],
)
def test_unix_socketpairs_of_every_kind(
    fresh: None, made: list[Any], kind: int, is_whole: bool
) -> None:
    left, right = socket.socketpair(stdlib.AF_UNIX, kind)
    made += [left, right]
    assert {type(left), type(right)} == {socket.socket}
    task = in_turn(right.recv, 100)
    left.send(b"one")
    assert task.get() == b"one"
    left.send(b"two")
    left.send(b"three")
    assert right.recv(100) == (b"two" if is_whole else b"twothree")


def test_seqpacket_listens_connects_and_keeps_borders(
    fresh: None, made: list[Any], tmp_path: Path
) -> None:
    listener = socket.socket(stdlib.AF_UNIX, stdlib.SOCK_SEQPACKET)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    task = in_turn(listener.accept)
    client = socket.socket(stdlib.AF_UNIX, stdlib.SOCK_SEQPACKET)
    client.connect(str(tmp_path / "s"))
    server, address = task.get()
    made += [listener, client, server]
    assert (address, server.type) == ("", stdlib.SOCK_SEQPACKET)
    client.send(b"a")
    client.send(b"bc")
    assert [server.recv(10), server.recv(10)] == [b"a", b"bc"]
    client.close()
    assert server.recv(10) == b""


@pytest.mark.parametrize("family", [stdlib.AF_INET, stdlib.AF_INET6])
def test_udp_is_received_with_the_senders_address(
    fresh: None, made: list[Any], family: int
) -> None:
    host = "127.0.0.1" if family == stdlib.AF_INET else "::1"
    server, client = (socket.socket(family, stdlib.SOCK_DGRAM) for _ in range(2))
    made += [server, client]
    server.bind((host, 0))
    client.bind((host, 0))
    plain = stdlib.socket.getsockname
    task = in_turn(server.recvfrom, 100)
    assert client.sendto(b"hello", server.getsockname()) == 5
    assert task.get() == (b"hello", plain(client))
    task = in_turn(client.recvfrom_into, buffer := bytearray(10))
    assert server.sendto(b"back", 0, plain(client)) == 4
    assert (task.get(), bytes(buffer[:4])) == ((4, plain(server)), b"back")
    client.sendto(b"long", server.getsockname())
    assert server.recvfrom(2)[0] == b"lo"  # the rest is lost, as ever
    client.sendto(b"", server.getsockname())
    assert server.recvfrom(2)[0] == b""


def test_recvfrom_and_sendto_refuse_what_the_standard_library_does(
    fresh: None, made: list[Any]
) -> None:
    ours, theirs = (kind(stdlib.AF_INET, stdlib.SOCK_DGRAM) for kind in (socket.socket, NATIVE))
    made += [ours, theirs]
    for call in (
        lambda sock: sock.recvfrom(-1),
        lambda sock: sock.recvfrom("1"),
        lambda sock: sock.sendto(b"x", ("127.0.0.1", 70000)),
        lambda sock: sock.sendto(b"x", ("127.0.0.1", "1")),
        lambda sock: sock.sendto(b"x", ["127.0.0.1", 1]),
        lambda sock: sock.sendto(b"x", ("127.0.0.1",)),
        lambda sock: sock.sendto("x", ("127.0.0.1", 1)),
        lambda sock: sock.sendto(b"x", 0, ("::1", 1)),
        lambda sock: sock.sendto(b"x"),
    ):
        with pytest.raises((TypeError, ValueError, OverflowError, OSError)) as expected:
            call(theirs)
        with pytest.raises(expected.type) as raised:
            call(ours)
        assert str(raised.value) == str(expected.value)


NATIVE = stdlib.SocketType


def test_a_datagram_of_a_timeout_socket_times_out(fresh: None, made: list[Any]) -> None:
    sock = socket.socket(stdlib.AF_INET, stdlib.SOCK_DGRAM)
    made.append(sock)
    sock.bind(LOCALHOST)
    sock.settimeout(0.001)
    with pytest.raises(TimeoutError, match=r"^timed out$"):
        sock.recvfrom(1)
    sock.settimeout(0)
    with pytest.raises(BlockingIOError):
        sock.recvfrom(1)


def test_a_refused_datagram_is_told_and_read_from_the_queue_of_errors(
    fresh: None, made: list[Any]
) -> None:
    sock, closed = (socket.socket(stdlib.AF_INET, stdlib.SOCK_DGRAM) for _ in range(2))
    made.append(sock)
    closed.bind(LOCALHOST)
    address = closed.getsockname()
    closed.close()
    ip_recverr = 11
    sock.setsockopt(stdlib.IPPROTO_IP, ip_recverr, 1)
    sock.connect(address)
    sock.send(b"lost")
    socket.wait_read(sock.fileno(), LIMIT_S)
    data, ancillary, flags, _ = sock.recvmsg(100, 512, stdlib.MSG_ERRQUEUE)
    assert data == b"lost"
    assert flags & stdlib.MSG_ERRQUEUE
    [(level, kind, what)] = ancillary
    assert (level, kind) == (stdlib.IPPROTO_IP, ip_recverr)
    assert struct.unpack_from("=I", what)[0] == errno.ECONNREFUSED
    with pytest.raises(BlockingIOError):  # it is empty, and never waited for
        sock.recvmsg(100, 512, stdlib.MSG_ERRQUEUE)


def test_descriptors_are_sent_and_received(fresh: None, made: list[Any]) -> None:
    left, right = socket.socketpair()
    made += [left, right]
    reader, writer = os.pipe()
    task = in_turn(socket.recv_fds, right, 10, 2)
    socket.send_fds(left, [b"take"], [writer])
    data, [received], flags, _ = task.get()
    assert (data, flags & ~stdlib.MSG_CMSG_CLOEXEC) == (b"take", 0)
    os.write(received, b"x")
    assert os.read(reader, 1) == b"x"
    for fd in (reader, writer, received):
        os.close(fd)


def test_recvmsg_into_fills_buffers_and_tells_of_descriptors(fresh: None, made: list[Any]) -> None:
    left, right = socket.socketpair(stdlib.AF_UNIX, stdlib.SOCK_SEQPACKET)
    made += [left, right]
    first, second = bytearray(3), bytearray(10)
    space = stdlib.CMSG_SPACE(array.array("i").itemsize)
    task = in_turn(right.recvmsg_into, [first, second], space)
    rights = [(stdlib.SOL_SOCKET, stdlib.SCM_RIGHTS, array.array("i", [left.fileno()]))]
    left.sendmsg([b"one", b"two"], rights)
    count, [(level, kind, what)], _, _ = task.get()
    assert (count, bytes(first), bytes(second[:3])) == (6, b"one", b"two")
    assert (level, kind) == (stdlib.SOL_SOCKET, stdlib.SCM_RIGHTS)
    with socket.socket(fileno=array.array("i", what)[0]) as same:
        same.send(b"mine")
        assert right.recv(10) == b"mine"


@pytest.mark.skipif(not hasattr(stdlib, "AF_NETLINK"), reason="this Python knows no AF_NETLINK")
def test_netlink_lists_the_interfaces(fresh: None, made: list[Any]) -> None:
    """A dump of RTM_GETLINK, as `ip link` asks for it."""
    sock = socket.socket(stdlib.AF_NETLINK, stdlib.SOCK_RAW, 0)
    made.append(sock)
    sock.settimeout(LIMIT_S)
    sock.bind((0, 0))
    getlink, request, dump, done, newlink = 18, 0x1, 0x300, 3, 16
    task = in_turn(sock.recvfrom, 1 << 16)
    sock.sendto(struct.pack("=IHHIIB3x", 20, getlink, request | dump, 1, 0, 0), (0, 0))
    kinds: list[int] = []
    names: list[bytes] = []
    while done not in kinds:
        data, address = task.get() if task else sock.recvfrom(1 << 16)
        task = None
        assert address == (0, 0)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            kinds.append(kind)
            names.append(data[:length])
            data = data[(length + 3) & ~3 :]
    assert any(kind == newlink and b"lo\0" in name for kind, name in zip(kinds, names, strict=True))


def test_vsock_connects_to_this_machine(fresh: None, made: list[Any]) -> None:
    try:
        listener = socket.socket(stdlib.AF_VSOCK, stdlib.SOCK_STREAM)
    except (AttributeError, OSError) as error:
        pytest.skip(f"no AF_VSOCK here: {error}")
    made.append(listener)
    local, any_port = 1, 0xFFFFFFFF  # VMADDR_CID_LOCAL, VMADDR_PORT_ANY
    try:
        listener.bind((local, any_port))
        listener.listen()
    except OSError as error:
        pytest.skip(f"AF_VSOCK has no loopback here: {error}")
    task = in_turn(listener.accept)
    client = socket.socket(stdlib.AF_VSOCK, stdlib.SOCK_STREAM)
    made.append(client)
    client.settimeout(LIMIT_S)
    client.connect(listener.getsockname())
    server, address = task.get()
    made.append(server)
    assert address == client.getsockname()
    reader = in_turn(server.recv, 10)
    client.sendall(b"hello")
    assert reader.get() == b"hello"


def test_create_server_serves_both_families(fresh: None, made: list[Any]) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no IPv6")
    listener = socket.create_server(("", 0), family=stdlib.AF_INET6, dualstack_ipv6=True)
    made.append(listener)
    for host, seen in (("127.0.0.1", "::ffff:127.0.0.1"), ("::1", "::1")):
        task = in_turn(listener.accept)
        client = socket.create_connection((host, listener.getsockname()[1]))
        server, address = task.get()
        made += [client, server]
        assert (address[0], address) == (seen, server.getpeername())


@pytest.mark.parametrize("timeout", [None, LIMIT_S])
def test_a_connected_socket_is_as_the_standard_librarys(
    fresh: None, made: list[Any], timeout: float | None
) -> None:
    listener = socket.create_server(LOCALHOST)
    listener.settimeout(timeout)
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    made += [listener, client, server]
    kind = (listener.family, listener.type, listener.proto)
    with stdlib.socket(*kind, fileno=os.dup(server.fileno())) as theirs:
        for name in ("family", "type", "proto", "timeout"):
            assert getattr(server, name) == getattr(theirs, name), name
        assert os.get_blocking(server.fileno())
        assert server.getpeername() == theirs.getpeername()
        assert repr(server).startswith("<fibril.socket.socket fd=")
    assert type(server) is socket.socket
    with server.makefile("rb") as file:
        server.close()
        client.sendall(b"line\n")
        assert file.readline() == b"line\n"
    assert server.fileno() == -1


def test_a_default_timeout_and_an_init_of_the_programs_are_heeded(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        from fibril import monkey
        monkey.patch_all()
        import socket, sys
        listener = socket.create_server(("127.0.0.1", 0))
        def connected():
            client = socket.create_connection(listener.getsockname())
            return listener.accept()[0]
        print(connected().gettimeout())
        socket.setdefaulttimeout(7)
        print(connected().gettimeout())
        socket.setdefaulttimeout(None)
        events = []
        sys.addaudithook(lambda name, args: events.append(args[1:]) if name == "socket.__new__"
            else None)
        connected()
        print(events[-1] == (2, 1, 0))
        former = socket.socket.__init__
        def init(self, *args, **options):
            former(self, *args, **options)
            print("mine")
        socket.socket.__init__ = init
        connected()
    """)
    assert out == "None\n7.0\nTrue\nmine\nmine\n"


def test_fromfd_and_dup_wait_apart(fresh: None, made: list[Any]) -> None:
    left, right = socket.socketpair()
    same, copy = socket.fromfd(right.fileno(), right.family, right.type), right.dup()
    made += [left, right, same, copy]
    tasks = [in_turn(sock.recv, 1) for sock in (right, same, copy)]
    right.close()
    fibril.joinall(tasks[:1])
    assert isinstance(tasks[0].exception, OSError)
    left.sendall(b"ab")
    assert sorted(task.get() for task in tasks[1:]) == [b"a", b"b"]


def test_one_socket_serves_tasks_of_several_threads(fresh: None, made: list[Any]) -> None:
    left, right = socket.socketpair()
    made += [left, right]
    left.settimeout(LIMIT_S)
    total, count = 30_000, [0, 0, 0]

    def read(number: int) -> None:
        while data := right.recv(100):
            count[number] += len(data)

    def work(number: int) -> None:
        fibril.joinall([fibril.spawn(read, number) for _ in range(3)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(total // 100):
        left.sendall(b"x" * 100)
    left.shutdown(stdlib.SHUT_WR)
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    assert sum(count) == total


@pytest.mark.parametrize("kind", [stdlib.SOCK_STREAM, stdlib.SOCK_SEQPACKET])
def test_a_full_listener_of_unix_is_waited_for(
    fresh: None, made: list[Any], tmp_path: Path, kind: int
) -> None:
    listener = socket.socket(stdlib.AF_UNIX, kind)
    listener.bind(str(tmp_path / "s"))
    listener.listen(0)
    clients = [socket.socket(stdlib.AF_UNIX, kind) for _ in range(4)]
    made += [listener, *clients]
    tasks = [fibril.spawn(client.connect, str(tmp_path / "s")) for client in clients]
    fibril.sleep(0)
    assert [task.ready() for task in tasks] == [True, False, False, False]
    for _ in clients:
        made.append(listener.accept()[0])
    fibril.joinall(tasks)
    assert all(task.successful() for task in tasks)


def test_an_unreachable_unix_path_says_so(fresh: None, made: list[Any], tmp_path: Path) -> None:
    sock = socket.socket(stdlib.AF_UNIX)
    made.append(sock)
    with pytest.raises(FileNotFoundError):
        sock.connect(str(tmp_path / "none"))
    assert sock.connect_ex(str(tmp_path / "none")) == errno.ENOENT


def test_a_datagram_socket_connects_at_once_and_can_be_disconnected(
    fresh: None, made: list[Any]
) -> None:
    server, client, other = (socket.socket(stdlib.AF_INET, stdlib.SOCK_DGRAM) for _ in range(3))
    made += [server, client, other]
    for sock in (server, other):
        sock.bind(LOCALHOST)
    client.connect(server.getsockname())
    client.send(b"x")
    assert server.recvfrom(10) == (b"x", client.getsockname())
    client.connect(other.getsockname())
    client.send(b"y")
    assert other.recv(10) == b"y"


@pytest.mark.parametrize("timeout", [None, LIMIT_S])
def test_sendfile_through_a_unix_stream(
    fresh: None, made: list[Any], tmp_path: Path, timeout: float | None
) -> None:
    left, right = socket.socketpair()
    made += [left, right]
    left.settimeout(timeout)
    data = bytes(range(256)) * 8192
    (tmp_path / "data").write_bytes(data)
    with (tmp_path / "data").open("rb") as file:
        task = fibril.spawn(left.sendfile, file, 100)
        received = bytearray()
        while len(received) < len(data) - 100:
            received += right.recv(1 << 16)
        assert task.get() == len(data) - 100
        assert file.tell() == len(data)
    assert received == data[100:]
