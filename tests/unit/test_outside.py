"""_outside: hubs, fibers, frames and lines read out of raw memory: here, this process's own."""

import ctypes
import os
import threading
import traceback
import types
from collections.abc import Iterator
from typing import Any

import pytest

import fibril
from fibril import Fiber, Task, _core, getcurrent
from fibril.inspect.outside import Fiber as Seen
from fibril.inspect.outside import Frame, Memory, Outside, line_at
from fibril.lock import Semaphore
from fibril.queue import Queue


def table_address() -> int:
    library = ctypes.CDLL(_core.__file__)
    return ctypes.addressof(ctypes.c_char.in_dll(library, "fbl_debug"))


@pytest.fixture
def outside() -> Iterator[Outside]:
    file = os.open("/proc/self/mem", os.O_RDONLY)
    yield Outside(lambda address, size: os.pread(file, size, address), table_address())
    os.close(file)


def seen(outside: Outside, fiber: Fiber) -> Seen:
    found = [each for hub in outside.hubs() for each in hub.fibers if each.object == id(fiber)]
    assert len(found) == 1
    return found[0]


def inner(queue: "Queue[int]") -> int:
    return queue.get()


def outer(queue: "Queue[int]") -> int:
    return sum(map(inner, [queue]))


# ---- hubs and fibers ----


class Beside:
    """A native thread whose fiber runs, held in a function of which the lines are known."""

    def __init__(self) -> None:
        self.is_there, self.may_end = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        self.is_there.wait()

    def run(self) -> None:
        self.fiber = Fiber(self.hold)
        self.main = getcurrent()
        self.fiber.switch()

    def hold(self) -> None:
        self.is_there.set()
        self.may_end.wait()

    def end(self) -> None:
        self.may_end.set()
        self.thread.join()


@pytest.fixture
def beside() -> Iterator[Beside]:
    thread = Beside()
    yield thread
    thread.end()


def test_a_running_fiber_runs_and_its_frames_are_its_threads(
    outside: Outside, beside: Beside
) -> None:
    shown = seen(outside, beside.fiber)
    assert (shown.state, shown.doing, shown.context) == ("running", "runs", None)
    last = shown.frames[-1]
    assert last == Frame(__file__, Beside.hold.__code__.co_firstlineno + 2, "Beside.hold")
    assert shown.frames[-2].function == "Event.wait"


def test_a_main_fiber_that_was_left_is_shown_with_its_threads_frames(
    outside: Outside, beside: Beside
) -> None:
    shown = seen(outside, beside.main)
    assert (shown.title, shown.doing) == ("main fiber", "was left by a switch by hand")
    first = Beside.run.__code__.co_firstlineno
    assert shown.frames[0] == Frame(__file__, first + 3, "Beside.run")
    assert shown.frames[-1].function == "Thread._bootstrap"


def test_each_native_thread_has_a_hub_of_its_own(outside: Outside, beside: Beside) -> None:
    hubs = {hub.native_thread_id: hub for hub in outside.hubs()}
    assert len(hubs[beside.thread.native_id or 0].fibers) == 2
    beside.end()
    assert beside.thread.native_id not in [hub.native_thread_id for hub in outside.hubs()]


@pytest.mark.usefixtures("sim")
def test_a_parked_task_shows_its_name_what_it_waits_for_and_its_frames(outside: Outside) -> None:
    queue: Queue[int] = Queue()
    task = fibril.spawn(outer, queue)
    task.name = "Pumpe 水 🚰"
    fibril.sleep(0)
    shown = seen(outside, task)
    assert shown.title == f"task {task.name!r}"
    assert (shown.state, shown.doing) == (
        "parked",
        f"waits to get from fibril.queue.Queue at {id(queue):#x}",
    )
    first = inner.__code__.co_firstlineno
    assert shown.frames == [
        Frame(__file__, first + 1, "inner"),
        Frame(__file__, first + 5, "outer"),
    ]
    assert shown.context is not None
    assert 0 not in shown.context[:2]
    queue.put(3)
    assert task.get() == 3
    assert task not in [fiber.object for hub in outside.hubs() for fiber in hub.fibers]


class Worker:
    def work(self) -> None:
        fibril.sleep(10)


class OwnTask(Task):
    def _run(self) -> None:
        fibril.sleep(10)


def titles(outside: Outside, *fibers: Fiber) -> list[str]:
    return [seen(outside, fiber).title for fiber in fibers]


@pytest.mark.usefixtures("sim")
def test_who_has_no_name_is_called_after_what_it_runs(outside: Outside) -> None:
    def local() -> None:
        pass

    fibers = [Fiber(local), Fiber(Worker().work), Fiber(len), fibril.spawn(Worker().work)]
    own = OwnTask()
    own.start()
    here = "test_who_has_no_name_is_called_after_what_it_runs.<locals>.local"
    assert titles(outside, *fibers, own) == [
        f"fiber {here}",
        "fiber Worker.work",
        "fiber of builtin_function_or_method",
        "task Worker.work",
        "task",
    ]
    fibril.killall([fibers[3], own])


def waits(outside: Outside, *calls: Any) -> list[str]:
    tasks = [fibril.spawn(*call) for call in calls]
    fibril.sleep(0)
    found = [seen(outside, task).doing for task in tasks]
    fibril.killall(tasks)
    return found


@pytest.mark.usefixtures("sim")
def test_each_state_is_told_in_words(outside: Outside) -> None:
    semaphore, queue = Semaphore(0), Queue[int](1)
    queue.put(1)
    assert waits(outside, (semaphore.acquire,), (queue.put, 2), (fibril.sleep, 9)) == [
        f"waits to acquire fibril.lock.Semaphore at {id(semaphore):#x}",
        f"waits to put into fibril.queue.Queue at {id(queue):#x}",
        "waits to sleep, or for its deadline",
    ]
    later, ready, unstarted = fibril.spawn_later(5, len), fibril.spawn(len, ""), Fiber(len)
    by_hand = Fiber(getcurrent().switch)
    by_hand.switch()
    assert [seen(outside, fiber).doing for fiber in (later, ready, unstarted, by_hand)] == [
        "starts when its time comes",
        "is ready to start",
        "has not started",
        "was left by a switch by hand",
    ]
    fibril.killall([later, ready])
    by_hand.switch()


def test_a_task_that_waits_for_a_descriptor_shows_its_number(outside: Outside) -> None:
    readable, writable = os.pipe()
    task = fibril.spawn(_core.wait_read, readable)
    fibril.sleep(0)
    assert seen(outside, task).doing == f"waits to read from fd {readable}"
    os.write(writable, b"x")
    assert task.get() is True
    os.close(readable)
    os.close(writable)


@pytest.mark.usefixtures("sim")
def test_the_hub_is_told_from_tasks(outside: Outside) -> None:
    hub = fibril.get_hub()
    hub.call_soon(int)
    fibril.sleep(0)
    fibril.sleep(0)
    assert (seen(outside, hub).title, seen(outside, hub).doing) == (
        "hub",
        "waits for something to call",
    )


@pytest.mark.usefixtures("sim")
def test_a_generators_frame_is_shown_in_its_place(outside: Outside) -> None:
    main = getcurrent()

    def generate() -> Iterator[None]:
        yield main.switch()

    def walk() -> None:
        list(generate())

    fiber = Fiber(walk)
    fiber.switch()
    names = [frame.function.rsplit(".", 1)[1] for frame in seen(outside, fiber).frames]
    assert names == ["generate", "walk"]
    fiber.switch()


@pytest.mark.usefixtures("sim")
def test_an_endless_chain_of_frames_is_cut(outside: Outside) -> None:
    main = getcurrent()

    def deep(levels: int) -> None:
        main.switch() if levels == 0 else deep(levels - 1)

    fiber = Fiber(deep)
    fiber.switch(300)
    frames = seen(outside, fiber).frames
    assert len(frames) == 101
    assert frames[-1].function == "more than 100 frames"
    fiber.switch()


# ---- memory that is not as it should be ----


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="fbl_debug is none"):
        Outside(lambda _, size: bytes(size), 0x1000)


def test_a_frame_that_cannot_be_read_says_so_and_the_rest_is_shown(outside: Outside) -> None:
    main = getcurrent()
    fiber = Fiber(main.switch)
    other = Fiber(lambda: main.switch())  # noqa: PLW0108  # it needs a frame of its own
    fiber.switch()
    other.switch()
    code = id(other.gr_frame.f_code)  # type: ignore[union-attr]
    read = outside.memory.read

    def read_some(address: int, size: int) -> bytes:
        if code <= address < code + 200:
            raise OSError("no memory here")
        return read(address, size)

    broken = Outside(read_some, table_address())
    assert seen(broken, other).frames == [Frame("?", 0, "unreadable: no memory here")]
    assert seen(broken, fiber).frames == []
    fiber.switch()
    other.switch()


def test_a_table_of_lines_that_is_cut_short_is_unreadable(outside: Outside) -> None:
    main = getcurrent()
    fiber = Fiber(lambda: main.switch())  # noqa: PLW0108  # it needs a frame of its own
    fiber.switch()
    frame = fiber.gr_frame
    assert frame is not None
    read = outside.memory.read

    def read_some(address: int, size: int) -> bytes:
        is_table = address == id(frame.f_code.co_linetable) + outside.at["bytes.data"]
        return b"\xf0" if is_table else read(address, size)

    found = seen(Outside(read_some, table_address()), fiber)
    assert [each.function for each in found.frames] == ["unreadable: index out of range"]
    fiber.switch()


def test_a_fiber_that_cannot_be_read_does_not_hide_the_others(outside: Outside) -> None:
    main = getcurrent()
    fibers = [Fiber(main.switch) for _ in range(3)]
    for fiber in fibers:
        fiber.switch()
    read = outside.memory.read

    def read_some(address: int, size: int) -> bytes:
        if address == id(fibers[1]) + outside.at["object.type"]:
            raise OSError("no memory here")
        return read(address, size)

    broken = Outside(read_some, table_address())
    hub = next(hub for hub in broken.hubs() if id(fibers[0]) in [f.object for f in hub.fibers])
    assert [fiber.doing for fiber in hub.fibers[-3:]] == [
        "was left by a switch by hand",
        "is unreadable: no memory here",
        "was left by a switch by hand",
    ]
    for fiber in fibers:
        fiber.switch()


def test_a_text_without_an_end_is_cut() -> None:
    assert len(Memory(lambda _, size: b"a" * size).text(0)) < 5000


# ---- lines ----


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


@pytest.mark.parametrize(
    "module", [traceback, threading, pytest], ids=lambda module: module.__name__
)
def test_every_instruction_has_the_line_that_python_gives_it(module: types.ModuleType) -> None:
    assert module.__file__ is not None
    with open(module.__file__, "rb") as file:
        source = compile(file.read(), module.__file__, "exec")
    for code in codes(source):
        for start, end, line in code.co_lines():
            offsets = range(start, end, 2) if line is not None else ()
            found = [line_at(code.co_linetable, code.co_firstlineno, offset) for offset in offsets]
            assert found == [line] * len(offsets)


def test_a_jump_of_thousands_of_lines_up_and_down_is_followed() -> None:
    source = "def f():\n return (1,\n" + "\n" * 5000 + "g() +\n" + "\n" * 5000 + "h())"
    code = next(code for code in codes(compile(source, "long", "exec")) if code.co_name == "f")
    for start, _, line in code.co_lines():
        if line is not None:
            assert line_at(code.co_linetable, code.co_firstlineno, start) == line
