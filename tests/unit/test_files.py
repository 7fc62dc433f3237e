"""os.read, os.write and their kin: others run while one waits, descriptors stay blocking ones, and
no byte is lost whoever is killed."""

import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fibril
from fibril import GreenletExit, Timeout, native, sleep, spawn
from fibril import os as ours
from tests.conftest import Interpreter

MORE = 1_000_000  # bytes: more than any pipe or socket takes at once


class Ends:
    """A descriptor to read from, one to write to, and how they are closed."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader, self.writer = reader, writer

    def close(self) -> None:
        for fd in {self.reader, self.writer}:
            try:
                os.close(fd)
            except OSError:
                pass


def pipe() -> Ends:
    return Ends(*os.pipe())


def sockets() -> Ends:
    first, second = socket.socketpair()
    return Ends(first.detach(), second.detach())


def terminal() -> Ends:
    """What a program prints on a terminal, read by who shows it."""
    master, slave = os.openpty()
    attributes = __import__("termios").tcgetattr(slave)
    attributes[1] = 0  # output is not changed
    __import__("termios").tcsetattr(slave, 0, attributes)
    return Ends(master, slave)


KINDS = {"pipe": pipe, "socket": sockets, "terminal": terminal}


@pytest.fixture(params=KINDS)
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    made = KINDS[request.param]()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[Ends]:
    made = pipe()
    yield made
    made.close()


def read_all(fd: int, count: int) -> bytes:
    parts = []
    while count > 0:
        parts.append(ours.read(fd, min(count, 65536)))
        assert parts[-1]
        count -= len(parts[-1])
    return b"".join(parts)


def fill(fd: int) -> None:
    """A non-blocking descriptor, until there is no room."""
    try:
        while True:
            ours.write(fd, data(MORE))
    except BlockingIOError:
        pass


def data(count: int) -> bytes:
    return (bytes(range(33, 127)) * (count // 94 + 1))[:count]


def test_who_reads_lets_others_run_until_there_is_something(fresh: None, ends: Ends) -> None:
    task = spawn(ours.read, ends.reader, 100)
    sleep(0.001)
    assert not task.ready()
    assert ours.write(ends.writer, b"hello") == 5
    assert task.get() == b"hello"


def test_who_writes_more_than_there_is_room_for_is_told_when_all_is_written(
    fresh: None, ends: Ends
) -> None:
    text = data(MORE)
    task = spawn(ours.write, ends.writer, text)
    sleep(0.001)
    assert not task.ready()
    assert read_all(ends.reader, MORE) == text
    assert task.get() == MORE


def test_a_descriptor_stays_a_blocking_one(fresh: None, ends: Ends) -> None:
    tasks = [spawn(ours.read, ends.reader, 1), spawn(ours.write, ends.writer, data(MORE))]
    sleep(0.001)
    assert [os.get_blocking(fd) for fd in (ends.reader, ends.writer)] == [True, True]
    read_all(ends.reader, MORE - 1)
    fibril.joinall(tasks)


def test_a_descriptor_that_the_program_made_non_blocking_answers_at_once(
    fresh: None, ends: Ends
) -> None:
    os.set_blocking(ends.reader, False)
    os.set_blocking(ends.writer, False)
    with pytest.raises(BlockingIOError):
        ours.read(ends.reader, 1)
    assert 0 < ours.write(ends.writer, data(MORE)) < MORE
    fill(ends.writer)
    with pytest.raises(BlockingIOError):
        ours.write(ends.writer, b"x")
    sleep(0)  # nothing is left to be told


def test_a_pieces_end_is_where_the_kernels_is(fresh: None, pair: Ends) -> None:
    ours.write(pair.writer, b"12345")
    assert ours.read(pair.reader, 3) == b"123"
    assert ours.read(pair.reader, 0) == b""
    assert ours.write(pair.writer, b"") == 0
    os.close(pair.writer)
    assert [ours.read(pair.reader, 9) for _ in range(3)] == [b"45", b"", b""]


def test_readers_are_served_in_the_order_in_which_they_came(fresh: None, pair: Ends) -> None:
    tasks = [spawn(ours.read, pair.reader, 1) for _ in range(5)]
    sleep(0.001)
    for letter in b"abcde":
        ours.write(pair.writer, bytes([letter]))
        sleep(0)
    assert [task.get() for task in tasks] == [b"a", b"b", b"c", b"d", b"e"]


# ---- killed ----


def test_who_is_killed_before_anything_came_leaves_nothing(fresh: None, ends: Ends) -> None:
    task = spawn(ours.read, ends.reader, 1)
    sleep(0.001)
    task.kill()
    ours.write(ends.writer, b"x")
    assert ours.read(ends.reader, 9) == b"x"


@pytest.mark.parametrize("strike", ["kill", "timeout"])
def test_who_is_struck_in_the_middle_is_told_how_much_was_written(
    fresh: None, ends: Ends, strike: str
) -> None:
    """And meets the exception where it waits next."""
    told: list[object] = []

    def write() -> None:
        try:
            with Timeout(0.005 if strike == "timeout" else None):
                told.append(ours.write(ends.writer, data(MORE)))
                sleep(1)
        except (Timeout, GreenletExit) as struck:
            told.append(type(struck))

    task = spawn(write)
    sleep(0.001)
    if strike == "kill":
        task.kill()
    task.join()
    count, kind = told
    assert isinstance(count, int)
    assert 0 < count < MORE
    assert kind is (Timeout if strike == "timeout" else GreenletExit)
    assert read_all(ends.reader, count) == data(count)
    os.set_blocking(ends.reader, False)
    with pytest.raises(BlockingIOError):
        os.read(ends.reader, 1)


def test_who_finds_no_room_at_all_and_is_killed_has_written_nothing(
    fresh: None, pair: Ends
) -> None:
    os.set_blocking(pair.writer, False)
    full = os.write(pair.writer, data(MORE))
    os.set_blocking(pair.writer, True)
    task = spawn(ours.write, pair.writer, b"more")
    sleep(0.001)
    task.kill()
    assert isinstance(task.value, GreenletExit)
    assert read_all(pair.reader, full) == data(full)
    os.close(pair.writer)
    assert ours.read(pair.reader, 9) == b""


# ---- closed ----


@pytest.mark.parametrize("call", ["close", "dup2"])
def test_who_waits_is_told_that_the_descriptor_was_closed(
    fresh: None, pair: Ends, call: str
) -> None:
    task = spawn(ours.read, pair.reader, 1)
    sleep(0.001)
    if call == "close":
        ours.close(pair.reader)
    else:
        ours.dup2(pair.writer, pair.reader)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        task.get()


def test_who_has_written_a_part_when_it_is_closed_is_told_how_much(fresh: None, pair: Ends) -> None:
    task = spawn(lambda: (ours.write(pair.writer, data(MORE)), sleep(0)))
    sleep(0.001)
    ours.close(pair.writer)
    assert 0 < task.get()[0] < MORE


def test_a_writer_is_told_that_nobody_will_read(fresh: None, pair: Ends) -> None:
    """Of what was taken before it is told how much; the next call is told the rest."""
    task = spawn(ours.write, pair.writer, data(MORE))
    sleep(0.001)
    os.close(pair.reader)
    assert 0 < task.get() < MORE
    with pytest.raises(BrokenPipeError):
        ours.write(pair.writer, b"x")


@pytest.mark.parametrize(
    ("call", "arguments", "error"),
    [
        (ours.read, (-1, 1), errno.EBADF),
        (ours.read, (99999, 1), errno.EBADF),
        (ours.write, (99999, b"x"), errno.EBADF),
        (ours.write, (99999, b""), errno.EBADF),
        (ours.read, (0, -1), errno.EINVAL),
        (ours.readv, (0, [bytearray(1)] * 2000), errno.EINVAL),
    ],
)
def test_errors_are_the_kernels(
    call: Callable[..., object], arguments: tuple[object, ...], error: int
) -> None:
    with pytest.raises(OSError, match=os.strerror(error)):
        call(*arguments)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ours.read("0", 1),  # type: ignore[arg-type]
        lambda: ours.write(0, "text"),  # type: ignore[arg-type]
        lambda: ours.readv(0, 5),  # type: ignore[arg-type]
        lambda: ours.readv(0, [b"read-only"]),
        lambda: ours.writev(0, ["text"]),  # type: ignore[list-item]
    ],
)
def test_wrong_arguments_are_type_errors(call: Callable[[], object]) -> None:
    with pytest.raises((TypeError, BufferError)):
        call()


# ---- other kinds ----


def test_files_on_a_disk_are_read_and_written_as_ever(fresh: None, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        assert ours.write(fd, data(MORE)) == MORE
        os.lseek(fd, 0, os.SEEK_SET)
        assert ours.read(fd, 2 * MORE) == data(MORE)
        assert ours.read(fd, 9) == b""
        os.lseek(fd, 10, os.SEEK_SET)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        assert ours.read(fd, MORE) == data(MORE)[10:]
    finally:
        os.close(fd)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            ours.read(folder, 1)
    finally:
        os.close(folder)


def test_buffers_are_filled_and_written_in_order(fresh: None, ends: Ends) -> None:
    parts = [b"", b"abc", b"", data(MORE), b"", b"end"]
    task = spawn(ours.writev, ends.writer, parts)
    assert read_all(ends.reader, MORE + 6) == b"".join(parts)
    assert task.get() == MORE + 6
    buffers = [bytearray(0), bytearray(2), bytearray(0), bytearray(9)]
    reading = spawn(ours.readv, ends.reader, buffers)
    sleep(0.001)
    ours.write(ends.writer, b"12345")
    assert reading.get() == 5
    assert buffers == [b"", b"12", b"", b"345" + bytes(6)]


def test_an_eventfd_is_waited_for(fresh: None) -> None:
    fd = os.eventfd(0)
    try:
        task = spawn(ours.eventfd_read, fd)
        sleep(0.001)
        ours.eventfd_write(fd, 2**63)
        assert task.get() == 2**63
        ours.eventfd_write(fd, 2**64 - 2)
        writing = spawn(ours.eventfd_write, fd, 5)
        sleep(0.001)
        assert not writing.ready()
        assert ours.eventfd_read(fd) == 2**64 - 2
        writing.join()
        assert ours.eventfd_read(fd) == 5
    finally:
        os.close(fd)


def test_a_file_is_sent_to_who_reads_slowly(fresh: None, ends: Ends, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data(MORE))
    with open(tmp_path / "file", "rb", buffering=0) as file:
        task = spawn(ours.sendfile, ends.writer, file.fileno(), 10, 2 * MORE)
        assert read_all(ends.reader, MORE - 10) == data(MORE)[10:]
        assert task.get() == MORE - 10
        file.seek(5)
        assert ours.sendfile(ends.writer, file.fileno(), None, 3) == 3
        assert (file.tell(), ours.read(ends.reader, 9)) == (8, data(8)[5:])


def test_sendfile_does_not_ask_what_a_test_has_put_into_os(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"some")
    with source.open("rb") as reader, target.open("wb") as writer:
        monkeypatch.setattr(os, "fstat", None)
        sent = ours.sendfile(writer.fileno(), reader.fileno(), 0, 4)
        monkeypatch.undo()
    assert (sent, target.read_bytes()) == (4, b"some")


def test_pipes_are_spliced_to_pipes_and_sockets(fresh: None, pair: Ends) -> None:
    for make in (pipe, sockets):
        target = make()
        task = spawn(ours.splice, pair.reader, target.writer, 100)
        sleep(0.001)
        assert not task.ready()
        ours.write(pair.writer, b"hello")
        assert (task.get(), ours.read(target.reader, 9)) == (5, b"hello")
        with pytest.raises(BlockingIOError):
            ours.splice(pair.reader, target.writer, 100, flags=2)
        target.close()


def test_who_waits_for_the_lock_of_a_file_lets_its_holder_give_it_back(
    fresh: None, tmp_path: Path
) -> None:
    from fibril._io import files

    first, second = (os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        fcntl.flock(first, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            files.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        task = spawn(files.flock, second, fcntl.LOCK_EX)
        sleep(0.005)
        assert not task.ready()
        files.flock(first, fcntl.LOCK_UN)
        task.join()
        with pytest.raises(BlockingIOError):
            files.flock(first, fcntl.LOCK_SH | fcntl.LOCK_NB)
        files.lockf(first, fcntl.LOCK_EX)
        ours.lockf(first, os.F_LOCK, 1)
        files.lockf(first, fcntl.LOCK_UN)
    finally:
        os.close(first)
        os.close(second)


def test_native_threads_read_and_write_each_byte_once(fresh: None, pair: Ends) -> None:
    """Tasks of two native threads share both ends."""
    got: list[bytes] = []

    def work() -> None:
        def read() -> None:
            while part := ours.read(pair.reader, 7):
                got.append(part)

        def write(letter: bytes) -> None:
            for _ in range(300):
                ours.write(pair.writer, letter * 100)

        readers = [spawn(read) for _ in range(3)]
        fibril.joinall([spawn(write, letter) for letter in (b"a", b"b")])
        done.append(1)
        while len(done) < 2:
            sleep(0.001)
        if len(done) == 2:
            done.append(1)
            ours.close(pair.writer)
        fibril.joinall(readers)

    done: list[int] = []
    locks = [native.allocate_lock() for _ in range(2)]

    def run(lock: object) -> None:
        try:
            work()
        finally:
            lock.release()  # type: ignore[attr-defined]

    for lock in locks:
        lock.acquire()
        native.start_new_thread(run, (lock,))
    for lock in locks:
        assert fibril.offload(lock.acquire, True, 20)
    text = b"".join(got)
    assert (text.count(b"a"), text.count(b"b")) == (60_000, 60_000)


# ---- gevent's names ----


def test_non_blocking_descriptors_are_waited_for_by_gevents_names(fresh: None, pair: Ends) -> None:
    assert ours.make_nonblocking(pair.reader)
    assert ours.make_nonblocking(pair.writer)
    assert ours.make_nonblocking(pair.writer) is None
    task = spawn(ours.nb_read, pair.reader, 9)
    sleep(0.001)
    assert ours.nb_write(pair.writer, b"hello") == 5
    assert task.get() == b"hello"
    fill(pair.writer)
    writing = spawn(ours.nb_write, pair.writer, b"x")
    sleep(0.001)
    assert not writing.ready()
    ours.nb_read(pair.reader, 65536)
    assert writing.get() == 1


def test_a_native_thread_of_the_pool_reads_and_writes(fresh: None, pair: Ends) -> None:
    task = spawn(ours.tp_read, pair.reader, 9)
    sleep(0.001)
    assert ours.tp_write(pair.writer, b"hello") == 5
    assert task.get() == b"hello"


def test_what_a_signal_handler_raises_comes_right_after_a_part_was_written(
    interpreter: Interpreter,
) -> None:
    """As without us: the call returns how much, and then the handler's exception is raised."""
    out = interpreter.out("""
        import os, signal, fibril
        from fibril import os as ours

        class Stop(Exception): pass

        def handle(number, frame):
            raise Stop

        signal.signal(signal.SIGALRM, handle)
        reader, writer = os.pipe()
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            ours.write(writer, bytes(10**6))
            for _ in range(10**6):
                pass
            print("it came too late")
        except Stop:
            print("stopped")
        os.set_blocking(reader, False)
        got = 0
        try:
            while True:
                got += len(os.read(reader, 10**6))
        except BlockingIOError:
            print(0 < got < 10**6)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            ours.read(reader, 1) if os.set_blocking(reader, True) is None else None
        except Stop:
            print("stopped")
        fibril.sleep(0)
    """)
    assert out == "stopped\nTrue\nstopped\n"


def test_a_signal_just_when_a_terminal_is_looked_at_keeps_nobody(interpreter: Interpreter) -> None:
    """The look says nothing then; it was taken for "there is something", and the thread waited."""
    out = interpreter.out("""
        import os, signal
        from fibril import Timeout, os as ours
        master, slave = os.openpty()
        signal.signal(signal.SIGALRM, lambda *args: None)
        for i in range(20_000):
            with Timeout(0, False):
                signal.setitimer(signal.ITIMER_REAL, 1e-6 + i % 100 * 3e-7)
                ours.read(slave, 10)
        print("done")
        """)
    assert out == "done\n"
