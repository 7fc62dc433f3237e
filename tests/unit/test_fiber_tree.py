"""fibril.util: what a running program does, as a tree; exceptions as values."""

import io
import threading

import pytest

import fibril
from fibril import Fiber, getcurrent, native, sleep, spawn
from fibril.event import Event
from fibril.lock import RLock
from fibril.util import FiberTree, format_run_info, print_run_info, wrap_errors
from tests.conftest import Growth, Sim


def titles(tree: FiberTree) -> list[str]:
    return str(tree).split("\n")


def own_tree() -> FiberTree:
    return FiberTree.current_tree()


def test_a_tree_hangs_tasks_below_who_spawned_them(sim: Sim) -> None:
    event = Event()

    def child() -> None:
        event.wait()

    def root() -> None:
        spawn(child).name = "left"
        spawn(sleep, 10).name = "right"
        sleep(10)

    task = spawn(root)
    task.name = "root"
    unbegun = fibril.spawn_later(1, int)
    unbegun.name = "later"
    sleep(0)
    sleep(0)
    assert [line.split(" at 0x")[0] for line in titles(own_tree()) if "Spawned" not in line] == [
        "main fiber runs",
        '├─ task "root" (root) waits to sleep',
        '│  ├─ task "left" (child) waits for <fibril.event.Event object',
        '│  └─ task "right" (<built-in function sleep>(10)) waits to sleep',
        "└─ task \"later\" (<class 'int'>) has not begun",
    ]


def test_who_lost_its_spawner_hangs_below_main(sim: Sim) -> None:
    spawn(lambda: spawn(sleep, 10) and None).join()
    assert len(own_tree().child_trees) == 1


def test_details_may_be_chosen(sim: Sim) -> None:
    def wait_here() -> None:
        getcurrent().spawn_tree_locals["shared"] = 1  # type: ignore[attr-defined]
        sleep(10)

    spawn(wait_here)
    sleep(0)
    whole, short = own_tree().format(), own_tree().format({"running_stacks": False})
    assert "in wait_here" in whole
    assert "sleep(10)" in whole
    assert "Spawn Tree Locals: {'shared': 1}" in whole
    assert "Parent: hub" in whole
    assert "test_details_may_be_chosen" in whole
    assert "sleep(10)" not in short
    assert own_tree().format(False) == str(own_tree())


def test_the_tree_of_the_current_fiber_is_marked(sim: Sim) -> None:
    seen = []

    def child() -> None:
        tree = own_tree()
        seen.append([tree.is_current_tree, *(t.is_current_tree for t in tree.child_trees)])

    spawn(sleep, 10)
    spawn(child).join()
    assert seen == [[True, False, True]]


def test_fibers_left_by_hand_and_their_locks_are_told(sim: Sim) -> None:
    main, lock = getcurrent(), RLock()
    lock.acquire()
    fiber = Fiber(main.switch)
    fiber.switch()
    spawn(lock.acquire).name = "waiter"
    sleep(0)
    text = str(own_tree())
    assert f"fiber {id(fiber):#x} was left by a switch by hand" in text
    assert "held by main fiber" in text
    fiber.switch()


def test_each_native_thread_has_its_tree(fresh: None) -> None:
    ready, done = native.allocate_lock(), native.allocate_lock()
    ready.acquire()
    done.acquire()

    def work() -> None:
        task = spawn(sleep, 100)
        task.name = "of the other thread"
        sleep(0)
        ready.release()
        done.acquire()
        task.kill()

    thread = threading.Thread(target=work)
    thread.start()
    ready.acquire()
    try:
        texts = [str(tree) for tree in FiberTree.forest()]
    finally:
        done.release()
        thread.join()
    assert any('task "of the other thread" (' in text for text in texts)
    assert "of the other thread" not in str(own_tree())


def test_run_info_tells_threads_and_fibers(sim: Sim) -> None:
    spawn(sleep, 10).name = "sleeper"
    sleep(0)
    text = io.StringIO()
    print_run_info(file=text)
    assert "MainThread" in text.getvalue()
    assert "the current one" in text.getvalue()
    assert 'task "sleeper" (<built-in function sleep>(10)) waits to sleep' in text.getvalue()
    assert "test_run_info_tells_threads_and_fibers" in text.getvalue()
    bare = "\n".join(format_run_info(thread_stacks=False, greenlet_stacks=False))
    assert 'task "sleeper" (<built-in function sleep>(10)) waits to sleep' in bare
    assert 'File "' not in bare


def test_looking_keeps_nothing_alive(growth: Growth) -> None:
    def once() -> None:
        task = spawn(sleep, 100)
        sleep(0)
        str(own_tree())
        format_run_info()
        task.kill()

    growth.refuse(once)


def test_errors_may_be_values(sim: Sim) -> None:
    wrapped = wrap_errors((ValueError, KeyError), int)
    assert wrapped("5") == 5
    assert isinstance(wrapped("five"), ValueError)
    with pytest.raises(TypeError):
        wrapped(None)
    assert (str(wrapped), repr(wrapped)) == (str(int), repr(int))
    assert wrapped.__wrapped__ is int
    assert wrapped.from_bytes is not None
