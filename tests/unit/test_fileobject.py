"""Files as objects, without a patch: pipes wait in the hub, disks in native threads, in the order
of the calls; and gevent's classes."""

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fibril
from fibril import Timeout, fileobject, native, sleep, socket, spawn
from fibril._io import disk
from fibril.config import Config
from fibril.fileobject import (
    FileObjectBlock,
    FileObjectClosed,
    FileObjectPosix,
    FileObjectThread,
)
from fibril.threadpool import ThreadPool
from tests.conftest import Gate, Interpreter, until

CLASSES = [FileObjectBlock, FileObjectPosix, FileObjectThread]
TEXT = "".join(f"line {i} ä\r\n" for i in range(3000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(TEXT.encode())
    return made


# ---- open ----

MODES = ["r", "rb", "r+", "r+b", "w", "wb", "w+", "a", "ab", "a+b", "x", "xb", "rt", "w+t"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("buffering", [-1, 0, 1, 100])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_open_is_the_built_in_one(tmp_path: Path, mode: str, buffering: int) -> None:
    """The same objects, or the same error, and the same bytes afterwards."""

    def use(opened: Callable[..., Any], name: str) -> Any:
        path = tmp_path / name
        if "x" not in mode:
            path.write_bytes(TEXT.encode())
        try:
            with opened(path, mode, buffering) as file:
                seen = [type(file), getattr(file, "mode", None), file.readable(), file.writable()]
                seen.append(getattr(file, "line_buffering", None))
                if file.readable():
                    seen += [file.readline(), file.read(10), file.tell(), file.read()]
                if file.writable():
                    seen += [file.write("new" if "b" not in mode else b"new"), file.seek(0, 2)]
        except ValueError as error:
            return str(error)
        seen[0] = io.FileIO if seen[0] is disk.FileIO else seen[0]
        return [*seen, path.read_bytes()]

    assert use(fileobject.open, "ours") == use(builtins.open, "theirs")


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "q"}, {"mode": "rw"}, {"mode": "bt"}, {"mode": ""}, {"mode": 3}, {"mode": "rr"},
        {"mode": "rb", "encoding": "utf-8"}, {"mode": "rb", "newline": "x"}, {"encoding": 3},
        {"mode": "rb", "errors": "x"}, {"newline": "x"}, {"encoding": "no such"}, {"file": None},
        {"closefd": False}, {"buffering": "x"}, {"file": "/no/such"}, {"file": 9999},
        {"mode": "+"}, {"mode": "xb"},
    ],
)  # fmt: skip
def test_open_refuses_what_the_built_in_one_refuses(path: Path, arguments: dict[str, Any]) -> None:
    def error(opened: Callable[..., Any]) -> tuple[type, Any]:
        with pytest.raises((OSError, ValueError, TypeError, LookupError)) as told:
            opened(**{"file": path, **arguments})
        return told.type, getattr(told.value, "errno", None)

    assert error(fileobject.open) == error(builtins.open)


def test_what_is_in_memory_needs_no_thread(
    fresh: None, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fileobject.open(path) as file:
        file.read(1)
        pool = fibril.get_hub().threadpool
        monkeypatch.setattr(pool, "_apply_to_the_end", None)
        assert file.read() == TEXT.replace("\r\n", "\n")[1:]
        assert (file.seek(0), file.readline()) == (0, "line 0 ä\n")


def test_what_waits_for_the_disk_lets_others_run_and_keeps_its_order(
    fresh: None, tmp_path: Path, gate: Gate
) -> None:
    """A task holds the only thread up; what others write meanwhile comes in their order."""
    file = fileobject.open(tmp_path / "file", "wb", buffering=0)
    pool = fibril.get_hub().threadpool
    holding = [pool.spawn(gate.pass_through) for _ in range(pool.maxsize)]
    syncing = spawn(disk.fsync, file.fileno())
    sleep(0.001)
    assert not syncing.ready()
    gate.open()
    syncing.get()
    fibril.joinall(holding)
    tasks = [spawn(file.write, bytes([i]) * 1000) for i in range(50)]
    fibril.joinall(tasks)
    file.close()
    assert (tmp_path / "file").read_bytes() == b"".join(bytes([i]) * 1000 for i in range(50))


def test_who_is_late_in_the_middle_waits_for_the_end(fresh: None, gate: Gate) -> None:
    """Or a thread would write into memory that is not there any more."""
    done: list[str] = []

    def work() -> None:
        try:
            done.append(disk.in_pool(gate.pass_through, "read"))
            sleep(0)
        except Timeout:
            done.append("late")

    task = spawn(work)
    until(lambda: gate.arrived == ["read"])  # in the thread
    task.kill(Timeout, block=False)
    sleep(0.001)
    assert (task.ready(), done) == (False, [])
    gate.open()
    task.join()
    assert done == ["read", "late"]


def test_a_call_that_has_not_begun_is_taken_back(fresh: None, gate: Gate) -> None:
    pool = fibril.get_hub().threadpool
    holding = [pool.spawn(gate.pass_through) for _ in range(pool.maxsize)]
    called: list[int] = []
    task = spawn(disk.in_pool, called.append, 1)
    sleep(0.001)
    task.kill()
    assert task.ready()
    gate.open()
    fibril.joinall(holding)
    assert called == []


def test_a_named_pipe_is_opened_when_its_other_end_is(fresh: None, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    def read() -> str:
        with fileobject.open(tmp_path / "pipe") as file:
            return file.read()

    reading = spawn(read)
    sleep(0.001)
    assert not reading.ready()
    with fileobject.open(tmp_path / "pipe", "w") as file:
        file.write("hello")
    assert reading.get() == "hello"


def test_who_is_killed_while_he_opens_a_named_pipe_leaves_nothing_open(
    fresh: None, tmp_path: Path
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    fibril.offload(int)  # the hub has descriptors of its own
    before = len(os.listdir("/proc/self/fd"))
    task = spawn(disk.open_descriptor, path, os.O_RDONLY)
    sleep(0.001)
    task.kill()
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # the thread that waits is let go by it
    with Timeout(5):
        while len(os.listdir("/proc/self/fd")) > before:
            sleep(0.001)


def test_every_file_is_served_after_patch_files(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        older = open(__file__, "rb")
        from fibril import monkey
        print(monkey.patch_all(files=True), monkey.patch_files())
        import fibril, io, os, tempfile

        calls = []
        pool = fibril.get_hub().threadpool
        original = type(pool)._apply_to_the_end
        def apply(self, function, args):
            calls.append(getattr(function, "__name__", ""))
            return original(self, function, args)
        type(pool)._apply_to_the_end = apply

        text = open(__file__).read()
        print(text == older.read().decode(), calls, type(older.raw) is io.FileIO)
        with tempfile.TemporaryFile("w+") as file:
            file.write("hello" * 1000)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            print(file.read() == "hello" * 1000, "fsync" in calls)
        print(os.read(os.open(__file__, os.O_RDONLY), 5), len(open("/proc/self/status").read()) > 9)
        try:
            open("/no/such")
        except FileNotFoundError as error:
            print(error)
        """)
    assert out.splitlines() == [
        "True None",
        "True ['open'] True",
        "True True",
        "b'older' True",
        "[Errno 2] No such file or directory: '/no/such'",
    ]


# ---- gevent's classes ----


@pytest.mark.parametrize("cls", CLASSES)
def test_a_file_object_is_a_file(fresh: None, path: Path, cls: Any) -> None:
    text = TEXT.replace("\r\n", "\n")
    with cls(path, encoding="utf-8") as file:
        assert [next(file), file.readline(), file.next()] == text.splitlines(True)[:3]
        assert (list(file), file.name) == (text.splitlines(True)[3:], str(path))
        assert {"readlines", "seek", "close", "name"} <= set(dir(file))
    assert file.closed
    with pytest.raises(FileObjectClosed):
        file.read()
    assert file.name == str(path)
    file.close()
    with cls(path, "r+b", bufsize=0) as file:
        assert (file.read(6), file.seek(0), file.write(b"LINE")) == (b"line 0", 0, 4)
        assert (file.writeall(b"!" * 100), file.tell()) == (100, 104)
    assert path.read_bytes()[:105] == b"LINE" + b"!" * 100 + TEXT.encode()[104:105]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_arguments_have_two_names_each(path: Path, cls: Any) -> None:
    for wrong in ({"bufsize": 1, "buffering": 1}, {"close": True, "closefd": True}):
        with pytest.raises(TypeError, match="cannot specify both"):
            cls(path, **wrong)
    with builtins.open(path) as given:
        with cls(given.fileno(), close=False) as file:
            assert file.read(4) == "line"
        given.fileno()
        os.fstat(given.fileno())
        with pytest.raises(ValueError, match="of a file of text"):
            cls(given, "rb")


@pytest.mark.parametrize("cls", [FileObjectPosix, FileObjectThread])
@pytest.mark.parametrize("kind", ["fd", "file"])
def test_a_file_object_on_a_pipe_lets_others_run(fresh: None, cls: Any, kind: str) -> None:
    reader, writer = os.pipe()
    given: Any = reader if kind == "fd" else io.FileIO(reader)
    file = cls(given, "r")
    task = spawn(file.readline)
    sleep(0.001)
    assert not task.ready()
    os.write(writer, b"hello\n")
    assert (task.get(), os.get_blocking(reader)) == ("hello\n", True)
    os.close(writer)
    assert file.read() == ""
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)


@pytest.mark.parametrize("kind", ["fd", "file"])
def test_who_reads_while_it_is_closed_is_told(fresh: None, kind: str) -> None:
    reader, writer = os.pipe()
    given: Any = reader if kind == "fd" else io.FileIO(reader)
    file = FileObjectPosix(given, "rb")
    task = spawn(file.read, 5)
    sleep(0.001)
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        task.get()
    os.close(writer)
    assert "closed" in repr(file)


def test_a_socket_may_be_wrapped(fresh: None) -> None:
    left, right = socket.socketpair()
    with left, right, FileObjectPosix(left.fileno(), "wb", 0, False) as file:
        task = spawn(file.write, b"x" * 1_000_000)
        got = 0
        while got < 1_000_000:
            got += len(right.recv(65536))
        assert task.get() == 1_000_000


def test_a_thread_file_object_takes_its_lock_and_its_pool(fresh: None, path: Path) -> None:
    from fibril.lock import Semaphore

    lock, pool = Semaphore(1), ThreadPool(2)
    file = FileObjectThread(path, "rb", lock=lock, threadpool=pool)
    with lock:
        task = spawn(file.read, 4)
        sleep(0.001)
        assert not task.ready()
    assert (task.get(), "threadpool=<ThreadPool" in repr(file)) == (b"line", True)
    file.close()
    with pytest.raises(TypeError, match="lock must be"):
        FileObjectThread(path, lock=object())
    with FileObjectThread(path, "rb", lock=False) as file:
        idents = {file.threadpool.apply(native.get_ident)}
        assert native.get_ident() not in idents
    pool.kill()


def test_the_class_is_chosen_by_gevents_setting(interpreter: Interpreter) -> None:
    assert Config().fileobject is FileObjectPosix
    for value, name in (("thread", "FileObjectThread"), ("fibril.fileobject.FileObjectBlock", "")):
        out = interpreter.out(
            "from fibril.fileobject import FileObject; print(FileObject.__name__)",
            GEVENT_FILE=value,
        )
        assert out.strip() == (name or "FileObjectBlock")


def test_a_file_of_a_file_has_its_name(tmp_path: Path) -> None:
    class Nameless:
        def __init__(self, fd: int) -> None:
            self.fileno = lambda: fd
            self.close = lambda: None

    path = tmp_path / "named"
    path.touch()
    with path.open(encoding="utf-8") as given:
        assert FileObjectPosix(given, closefd=False).name == str(path)
        nameless = FileObjectPosix(Nameless(given.fileno()), "rb")
        for _ in range(2):
            with pytest.raises(AttributeError):
                _ = nameless.name
            nameless.close()
