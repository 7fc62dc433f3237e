"""Whose task is it that still runs when a test is over?"""

import re

import pytest

import fibril
from fibril import Task, get_hub, sleep, spawn, spawn_later
from fibril.event import Event
from fibril.testing.left_running import LeftRunning
from tests.conftest import Interpreter, Sim

LONG = 1000


@pytest.fixture
def left() -> LeftRunning:
    return LeftRunning()


def named(left: LeftRunning) -> list[str]:
    """The names of those who are left."""
    return re.findall(r'^  task "(.*?)"', "\n".join(left.lines()), re.MULTILINE)


def start(name: str, seconds: float = LONG) -> Task:
    task = spawn(sleep, seconds)
    task.name = name
    return task


def test_each_is_named_with_what_it_does_and_where_it_comes_from(
    sim: Sim, left: LeftRunning
) -> None:
    event = Event()

    def wait() -> None:
        event.wait()

    left.begin()
    for task in (start("sleeper"), spawn(wait), spawn_later(LONG, wait)):
        task.name = task.name.replace("Task-", "other ")
    lines = left.lines()
    here = test_each_is_named_with_what_it_does_and_where_it_comes_from.__name__
    assert [line.rpartition(" in ")[2] for line in lines[1::2]] == ["start", here, here]
    said = "\n".join(lines[0::2])
    assert re.search(
        r'^  task "sleeper" .* waits to sleep, at a line of sleep$', said, re.MULTILINE
    )
    what = re.escape(repr(event))
    waits = rf'^  task "other \d+" \(wait\) waits for {what}, at {__file__}:\d+ in wait$'
    assert re.search(waits, said, re.MULTILINE)
    assert re.search(
        r'^  task "other \d+" .* has not begun, at a line of .*wait$', said, re.MULTILINE
    )


def test_who_was_there_before_is_not_named_nor_whom_he_starts(sim: Sim, left: LeftRunning) -> None:
    def serve() -> None:
        for number in range(2):
            calls.wait()
            calls.clear()
            start(f"handler {number}")

    calls = Event()
    server = spawn(serve)
    sleep(0)
    left.begin()
    start("mine")
    calls.set()
    sleep(0)
    assert named(left) == ["mine"]
    calls.set()
    sleep(0)
    assert server.dead
    left.begin()
    assert named(left) == []


def test_what_outlives_the_test_is_not_its_own(sim: Sim, left: LeftRunning) -> None:
    def set_up_in_vain() -> None:
        with left.not_ours():
            start("another's, too")
            raise LookupError

    left.begin()
    start("mine")
    with left.not_ours():
        start("another's")
    with pytest.raises(LookupError):
        set_up_in_vain()
    start("mine, too")
    assert named(left) == ["mine", "mine, too"]


def test_who_is_about_to_end_may(sim: Sim, left: LeftRunning) -> None:
    left.begin()
    start("never begun")
    killed = start("killed")
    sleep(0)
    killed.kill(block=False)
    start("slow").link(lambda _: start("late", 0))
    spawn(sleep, 0).link(lambda _: start("later", 0))
    assert named(left) == ["never begun", "slow"]
    assert killed.dead


def test_who_never_ends_does_not_keep_the_others(sim: Sim, left: LeftRunning) -> None:
    def poll() -> None:
        while True:
            sleep(0)

    left.begin()
    task = spawn(poll)
    task.name = "polls"
    assert named(left) == ["polls"]
    assert "is ready to go on" in left.lines()[0]
    task.kill()


def test_nobody_runs_for_those_who_are_not_ours(sim: Sim, left: LeftRunning) -> None:
    task = start("another's", 0)
    left.begin()
    assert left.lines() == []
    assert not task.dead


def test_of_many_twenty_are_named(sim: Sim, left: LeftRunning) -> None:
    left.begin()
    tasks = [start("one") for _ in range(25)]
    lines = left.lines()
    assert (len(lines), lines[-1]) == (41, "  … and 5 more")
    fibril.killall(tasks)


def test_what_is_no_task_that_runs_is_not_named(sim: Sim, left: LeftRunning) -> None:
    left.begin()
    never_started = Task(sleep, LONG)
    fiber = fibril.Fiber(lambda: get_hub().switch())
    fibril.spawn_raw(sleep, LONG)
    get_hub().call_soon(int)
    sleep(0)
    assert named(left) == []
    assert not never_started.started
    assert not fiber


def test_a_class_of_tasks_may_call_something_else_started(sim: Sim, left: LeftRunning) -> None:
    class Server(Task):
        started = False

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    left.begin()
    Server.spawn(sleep, LONG).name = "server"
    assert named(left) == ["server"]


def test_threads_that_are_tasks_are_named_by_their_names_but_an_executors_are_not(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        from fibril import monkey
        monkey.patch_all()
        import threading, time
        from concurrent.futures import ThreadPoolExecutor
        from fibril.testing.left_running import LeftRunning
        left = LeftRunning()
        left.begin()
        threading.Thread(target=time.sleep, args=(100,), name="mine", daemon=True).start()
        executor = ThreadPoolExecutor(2)
        executor.submit(int).result()
        for line in left.lines():
            print(line)
    """)
    first, second = out.splitlines()
    assert re.fullmatch(r'  task "Task-\d+" \(thread .mine.\) waits to sleep, at .*', first)
    assert second.startswith("      spawned at ")
