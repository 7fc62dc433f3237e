"""select, poll, epoll and the selectors: the kernel's answers, and others run while one waits."""

import os
import select as stdlib
import selectors as stdlib_selectors
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fibril
from fibril import select, selectors, socket
from tests.conftest import Interpreter, Sim

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def ask_select(sock: socket.socket, timeout: float | None) -> bool:
    return select.select([sock], [], [], timeout) == ([sock], [], [])


def ask_poll(sock: socket.socket, timeout: float | None) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    found = poller.poll(None if timeout is None else timeout * 1000)
    return found == [(sock.fileno(), select.POLLIN)]


def ask_epoll(sock: socket.socket, timeout: float | None) -> bool:
    with select.epoll() as poller:
        poller.register(sock, select.EPOLLIN)
        return poller.poll(timeout) == [(sock.fileno(), select.EPOLLIN)]


def ask_selector(cls: Any) -> Callable[[socket.socket, float | None], bool]:
    def ask(sock: socket.socket, timeout: float | None) -> bool:
        with cls() as selector:
            key = selector.register(sock, selectors.EVENT_READ)
            return bool(selector.select(timeout) == [(key, selectors.EVENT_READ)])

    return ask


ASKS = [
    ask_select,
    ask_poll,
    ask_epoll,
    ask_selector(selectors.SelectSelector),
    ask_selector(selectors.PollSelector),
    ask_selector(selectors.DefaultSelector),
]
NAMES = ["select", "poll", "epoll", "SelectSelector", "PollSelector", "DefaultSelector"]
each_way = pytest.mark.parametrize("ask", ASKS, ids=NAMES)


@each_way
@pytest.mark.parametrize("timeout", [None, 20.0])
def test_others_run_until_something_is_ready(
    fresh: None, pair: Pair, ask: Any, timeout: float | None
) -> None:
    left, right = pair
    fibril.spawn(left.send, b"x")
    assert ask(right, timeout)


@each_way
def test_timeout_0_tells_what_is_ready_and_never_switches(
    fresh: None, pair: Pair, ask: Any
) -> None:
    left, right = pair
    others: list[int] = []
    fibril.spawn(others.append, 1)
    assert not ask(right, 0)
    left.send(b"x")
    assert ask(right, 0)
    assert others == []
    fibril.sleep(0)


@each_way
def test_the_time_is_over_with_nothing(sim: Sim, pair: Pair, ask: Any) -> None:
    began = sim.now()
    assert not ask(pair[1], 3)
    assert sim.now() - began == pytest.approx(3)


@each_way
def test_a_loop_whose_socket_is_always_ready_lets_others_run(
    fresh: None, pair: Pair, ask: Any
) -> None:
    left, right = pair
    left.send(b"x")
    task = fibril.spawn(int)
    rounds = 0
    while not task.ready():
        assert ask(right, None)
        rounds += 1
        assert rounds < 10


def test_poll_tells_a_hang_up_and_a_closed_descriptor(fresh: None) -> None:
    reading, writing = os.pipe()
    poller = select.poll()
    poller.register(reading, select.POLLIN)
    fibril.spawn(os.close, writing)
    assert poller.poll() == [(reading, select.POLLHUP)]
    os.close(reading)
    assert poller.poll() == [(reading, select.POLLNVAL)]


def test_poll_tells_an_error_on_the_writing_end(fresh: None) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while select.select([], [writing], [], 0)[1]:
        os.write(writing, bytes(1 << 16))
    poller = select.poll()
    poller.register(writing, select.POLLOUT)
    fibril.spawn(os.close, reading)
    [(fd, events)] = poller.poll()
    assert (fd, events & select.POLLERR) == (writing, select.POLLERR)
    os.close(writing)


def test_a_regular_file_is_always_ready(fresh: None, tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+", encoding="utf-8") as file:
        assert select.select([file], [file], [], None) == ([file], [file], [])
        poller = select.poll()
        poller.register(file)
        assert poller.poll() == [(file.fileno(), select.POLLIN | select.POLLOUT)]


def test_each_of_many_descriptors_is_seen(fresh: None) -> None:
    pairs = [socket.socketpair() for _ in range(20)]
    readers = [right for _, right in pairs]
    for left, right in pairs:
        fibril.spawn(left.send, b"x")
        assert select.select(readers, [], []) == ([right], [], [])
        right.recv(1)
    for left, right in pairs:
        left.close()
        right.close()


def test_what_select_was_not_asked_for_does_not_end_the_wait(sim: Sim, pair: Pair) -> None:
    # The peer is gone, which epoll always reports; nobody asked select but for urgent data.
    left, right = pair
    left.close()
    assert select.select([], [], [right], 2) == ([], [], [])


def test_select_waits_for_readers_and_writers_together(fresh: None, pair: Pair) -> None:
    left, right = pair
    left.setblocking(False)
    while select.select([], [left], [], 0)[1]:
        left.send(bytes(1 << 16))
    fibril.spawn(right.recv, 1 << 20)
    assert select.select([left], [left], []) == ([], [left], [])


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (([], [], [], -1), ValueError),
        (([], [], [], "1"), TypeError),
        ((1, [], []), TypeError),
        (([object()], [], []), TypeError),
        (([-1], [], []), ValueError),
    ],
)
def test_select_refuses_what_the_standard_librarys_refuses(
    fresh: None, arguments: Any, kind: type[Exception]
) -> None:
    for module in (stdlib, select):
        with pytest.raises(kind):
            module.select(*arguments)


def test_unregistered_descriptors_are_not_waited_for(sim: Sim, pair: Pair) -> None:
    left, right = pair
    poller = select.poll()
    poller.register(right, select.POLLIN)
    poller.modify(right, select.POLLIN | select.POLLPRI)
    poller.unregister(right)
    left.send(b"x")
    assert poller.poll(1000) == []
    with pytest.raises(KeyError):
        poller.unregister(right)


def test_an_epoll_is_a_real_one(fresh: None, pair: Pair) -> None:
    left, right = pair
    with select.epoll() as inner, select.epoll() as outer:
        inner.register(right, select.EPOLLIN | select.EPOLLET)
        outer.register(inner, select.EPOLLIN)
        left.send(b"x")
        assert outer.poll() == [(inner.fileno(), select.EPOLLIN)]
        assert stdlib.epoll.fromfd(os.dup(inner.fileno())).poll(0)
        assert inner.poll(0) == []  # edge-triggered: told once, to whoever asked first
        inner.modify(right, select.EPOLLIN)
        assert inner.poll(maxevents=1) == [(right.fileno(), select.EPOLLIN)]
        inner.unregister(right)
        assert inner.poll(0) == []
    assert inner.closed


def test_closing_an_epoll_ends_waiting_in_it(fresh: None) -> None:
    poller = select.epoll()
    task = fibril.spawn(poller.poll)
    fibril.sleep(0)
    fibril.sleep(0)  # before it waits, it lets others run
    poller.close()
    with pytest.raises(OSError, match="Bad file"):
        task.get()


def test_a_selector_of_the_standard_library_becomes_cooperative(fresh: None, pair: Pair) -> None:
    # What patching does to one that was made before.
    left, right = pair
    selector = stdlib_selectors.EpollSelector()
    selector.register(right, selectors.EVENT_READ)
    fibril.spawn(left.send, b"x")
    assert len(selectors.EpollSelector.select(selector, 20)) == 1  # type: ignore[arg-type]
    selector.close()


def test_waiting_leaves_nothing_behind(fresh: None, pair: Pair, growth: Any) -> None:
    left, right = pair

    def use() -> None:
        fibril.spawn(left.send, b"x")
        select.select([right], [], [left])
        right.recv(1)

    growth.refuse(use)


def test_select_needs_no_descriptor_where_none_is_left(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, resource, fibril
        from fibril import select, socket
        pairs = [socket.socketpair() for _ in range(2)]
        fibril.spawn(pairs[0][0].recv, 1)
        fibril.sleep(0.001)  # the hub's own are open
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, limits[1]))
        try:
            while True:
                os.dup(1)
        except OSError:
            pass
        readers = [pairs[0][1], pairs[1][1]]
        fibril.spawn_later(0.02, pairs[1][0].send, b"x")
        print(select.select(readers, [], [], 5)[0] == readers[1:])
        pairs[1][1].recv(1)
        print(select.select(readers, [], [], 0.01))
    """)
    assert out == "True\n([], [], [])\n"


def test_two_cannot_wait_in_one_poll_object_at_once(fresh: None) -> None:
    reading, writing = os.pipe()
    poller = select.poll()
    poller.register(reading, select.POLLIN)
    task = fibril.spawn(poller.poll)
    fibril.sleep(0.001)
    for timeout in (None, 0, 5):
        with pytest.raises(RuntimeError, match="concurrent poll"):
            poller.poll(timeout)
    os.write(writing, b"x")
    assert task.get() == [(reading, select.POLLIN)]
    assert poller.poll(0) == [(reading, select.POLLIN)]
    waiting = select.poll()
    killed = fibril.spawn(waiting.poll)
    fibril.sleep(0.001)
    killed.kill()
    assert waiting.poll(0) == []
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("change", ["modify", "unregister", "register"])
def test_who_waits_in_poll_waits_for_what_was_registered_then(fresh: None, change: str) -> None:
    """As the kernel's poll, which has taken a copy."""
    (reading, writing), (other, full) = os.pipe(), os.pipe()
    poller = select.poll()
    poller.register(reading, select.POLLIN)
    task = fibril.spawn(poller.poll)
    fibril.sleep(0.001)
    if change == "modify":
        poller.modify(reading, 0)
    elif change == "unregister":
        poller.unregister(reading)
    else:
        poller.register(full, select.POLLOUT)
    fibril.sleep(0.001)
    assert not task.ready()
    os.write(writing, b"x")
    assert task.get() == [(reading, select.POLLIN)]
    more = [(reading, select.POLLIN), (full, select.POLLOUT)]
    assert poller.poll(0) == (more if change == "register" else [])
    for fd in (reading, writing, other, full):
        os.close(fd)
