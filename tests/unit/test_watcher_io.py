"""IOWatcher: called while a descriptor is ready, until it is stopped or the descriptor closed."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fibril import _core, get_hub, sleep, spawn
from fibril._hub.loop import Loop
from fibril.event import Event
from fibril.socket import socketpair
from tests.conftest import Sim


def loop() -> Loop:
    return get_hub().loop


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A pipe: where to read, where to write."""
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        _core.fd_forget(fd)
        os.close(fd)


def turn(times: int = 5) -> None:
    """Let the hub ask the kernel a few times."""
    for _ in range(times):
        sleep(0.0001)


def test_it_is_called_again_and_again_while_there_is_something_to_read(
    ends: tuple[int, int], fresh: None
) -> None:
    reader, writer = ends
    seen: list[Any] = []
    watcher = loop().io(reader, 1)
    watcher.start(seen.append, "ready")
    turn()
    assert seen == []
    os.write(writer, b"x")
    turn(10)
    assert len(seen) > 3
    os.read(reader, 1)
    turn(1)
    seen.clear()
    turn()
    assert seen == []
    os.write(writer, b"x")
    turn()
    assert seen
    watcher.stop()
    seen.clear()
    turn()
    assert seen == []


def test_it_may_read_a_part_each_time(ends: tuple[int, int], fresh: None) -> None:
    reader, writer = ends
    seen: list[bytes] = []
    done = Event()

    def read() -> None:
        seen.append(os.read(reader, 1))
        if len(seen) == 6:
            done.set()

    watcher = loop().io(reader, 1)
    watcher.start(read)
    os.write(writer, b"letter")
    assert done.wait(10)
    assert b"".join(seen) == b"letter"
    watcher.close()


def test_it_is_told_what_for_if_it_wants_to_be(fresh: None) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        seen: list[Any] = []
        both, write = loop().io(ours.fileno(), 3), loop().io(ours.fileno(), 2)
        both.start(lambda *told: seen.append(told), "argument", pass_events=True)
        write.start(lambda *told: seen.append(told), pass_events=True)
        turn()
        assert set(seen) == {(2, "argument"), (2,)}
        theirs.send(b"x")
        seen.clear()
        turn()
        assert {(3, "argument"), (2,)} <= set(seen)
        both.stop()
        write.stop()


def test_ready_descriptors_starve_nobody(ends: tuple[int, int], fresh: None) -> None:
    reader, writer = ends
    os.write(writer, b"x")
    watcher = loop().io(reader, 1)
    watcher.start(int)
    task = spawn(lambda: [sleep(0.0001) for _ in range(10)])
    spinning = spawn(lambda: [sleep(0) for _ in range(1000)])
    assert task.join(10) is None
    assert spinning.join(10) is None
    assert task.ready()
    assert spinning.ready()
    assert get_hub().join(0.001) is False
    watcher.stop()
    assert get_hub().join(0.001) is True


def test_it_watches_beside_fibers_that_wait(fresh: None) -> None:
    ours, theirs = socketpair()
    with ours, theirs:
        seen: list[Any] = []
        watcher = loop().io(ours.fileno(), 1)
        watcher.start(seen.append, 1)
        task = spawn(ours.recv, 10)
        sleep(0)
        theirs.send(b"both")
        assert task.get(timeout=10) == b"both"
        turn()
        assert seen
        again = spawn(ours.recv, 10)
        sleep(0)
        watcher.stop()
        theirs.send(b"one")
        assert again.get(timeout=10) == b"one"


def test_hub_wait_with_an_io_watcher_waits_until_it_is_ready(
    ends: tuple[int, int], fresh: None
) -> None:
    reader, writer = ends
    watcher = loop().io(reader, 1)
    task = spawn(get_hub().wait, watcher)
    turn()
    assert not task.ready()
    os.write(writer, b"x")
    task.get(timeout=10)
    assert not watcher.active
    get_hub().wait(watcher)  # it still is


def test_a_descriptor_that_is_closed_is_told_once_and_watched_no_longer(fresh: None) -> None:
    ours, theirs = socketpair()
    with theirs:
        seen: list[int] = []
        watcher = loop().io(ours.fileno(), 1)
        watcher.start(seen.append, 1)
        turn()
        ours.close()
        turn()
        assert seen == [1]
        assert not watcher.active
        assert loop().activecnt == 0
        assert watcher.callback is None


def test_closing_fd_tells_those_who_watch(ends: tuple[int, int], fresh: None) -> None:
    reader, writer = ends
    seen: list[int] = []
    watcher = loop().io(reader, 1)
    watcher.start(seen.append, 1)
    assert loop().closing_fd(reader) is True
    assert loop().closing_fd(writer) is False
    assert not seen
    turn()
    assert seen == [1]


def test_a_callback_may_close_what_it_watches(fresh: None) -> None:
    reader, writer = os.pipe()
    seen: list[int] = []
    watcher = loop().io(reader, 1)

    def close() -> None:
        seen.append(1)
        if len(seen) == 1:
            os.close(reader)  # without a word to anybody

    watcher.start(close)
    os.write(writer, b"x")
    turn()
    assert seen == [1, 1]  # the second time, trying tells that it is closed
    assert not watcher.active
    assert loop().activecnt == 0
    os.close(writer)
    _core.fd_forget(reader)


def test_a_regular_file_is_always_ready(fresh: None) -> None:
    with open(__file__, "rb") as file:
        seen: list[int] = []
        watcher = loop().io(file.fileno(), 1)
        watcher.start(seen.append, 1)
        turn()
        assert len(seen) > 1
        watcher.stop()


def test_what_is_no_descriptor_is_refused(sim: Sim) -> None:
    with pytest.raises(ValueError, match="negative"):
        loop().io(-1, 1)
    for events in (4, 7, -1, 256):
        with pytest.raises(ValueError, match="illegal event mask"):
            loop().io(0, events)


def test_a_descriptor_that_is_not_open_cannot_be_watched(fresh: None) -> None:
    turn()  # the poller has its own descriptors now
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    watcher = loop().io(reader, 1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        watcher.start(int)
    assert not watcher.active
    assert watcher.callback is None
    assert loop().activecnt == 0


def test_what_it_watches_may_be_changed_while_it_is_not_active(
    ends: tuple[int, int], fresh: None
) -> None:
    reader, writer = ends
    seen: list[int] = []
    watcher = loop().io(reader, 1)
    watcher.start(int)
    for name in ("fd", "events"):
        with pytest.raises(AttributeError, match="active"):
            setattr(watcher, name, 1)
    watcher.stop()
    watcher.fd, watcher.events = writer, 2
    assert (watcher.fd, watcher.events) == (writer, 2)
    watcher.start(seen.append, 1)
    turn()
    assert seen
    watcher.close()


def test_one_that_was_told_and_stopped_before_the_call_is_not_called(
    ends: tuple[int, int], fresh: None
) -> None:
    reader, writer = ends
    watchers = [loop().io(reader, 1) for _ in range(2)]
    seen: list[int] = []

    def stop_both(number: int) -> None:
        seen.append(number)
        for watcher in watchers:
            watcher.stop()

    for number, watcher in enumerate(watchers):
        watcher.start(stop_both, number)
    os.write(writer, b"x")
    turn()
    assert len(seen) == 1
