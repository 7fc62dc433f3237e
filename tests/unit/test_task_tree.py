"""Where tasks come from: spawners, trees and what they share, small numbers, callbacks at start."""

import gc
import io
import traceback
import weakref
from typing import Any

import pytest

import fibril
from fibril import Fiber, GreenletExit, Task, Timeout, get_hub, getcurrent, sleep, spawn
from fibril.event import Event
from tests.conftest import Growth, Sim


class Failure(Exception):
    pass


# ---- the tree ----


def test_a_task_knows_who_spawned_it_as_long_as_that_is_there(sim: Sim) -> None:
    child = None

    def parent() -> None:
        nonlocal child
        child = spawn(sleep, 10)

    task = spawn(parent)
    assert task.spawning_greenlet is not None
    assert task.spawning_greenlet() is getcurrent()
    task.join()
    assert child is not None
    assert child.spawning_greenlet() is task
    del task
    gc.collect()
    assert child.spawning_greenlet() is None
    child.kill()


def test_a_task_that_was_not_started_was_spawned_by_nobody() -> None:
    task = Task(int)
    assert task.spawning_greenlet is None
    assert task.spawning_stack is None


def test_the_place_is_there_as_a_frame_for_traceback(sim: Sim) -> None:
    task = spawn(int)
    text = io.StringIO()
    traceback.print_stack(task.spawning_stack, file=text)
    assert "task = spawn(int)" in text.getvalue()
    assert __file__ in text.getvalue()
    task.join()


def test_a_tree_shares_a_dict_whoever_asks_first(sim: Sim) -> None:
    seen: dict[str, Any] = {}

    def grandchild() -> None:
        seen["grandchild"] = getcurrent().spawn_tree_locals  # type: ignore[attr-defined]

    def child() -> None:
        spawn(grandchild).join()

    def root() -> None:
        spawn(child).join()
        seen["root"] = getcurrent().spawn_tree_locals  # type: ignore[attr-defined]

    roots = [spawn(root) for _ in range(2)]
    fibril.joinall(roots)
    assert seen["root"] is seen["grandchild"] is roots[1].spawn_tree_locals
    assert roots[0].spawn_tree_locals is not roots[1].spawn_tree_locals


def test_what_a_tree_shares_may_be_replaced(sim: Sim) -> None:
    def child() -> Any:
        return getcurrent().spawn_tree_locals  # type: ignore[attr-defined]

    def root() -> Any:
        getcurrent().spawn_tree_locals = {"mine": 1}  # type: ignore[attr-defined]
        return spawn(child).get()

    assert spawn(root).get() == {"mine": 1}


# ---- small numbers ----


def test_small_numbers_are_unlike_and_used_again(sim: Sim) -> None:
    tasks = [Task(int) for _ in range(200)]
    idents = [task.minimal_ident for task in tasks]
    assert len(set(idents)) == 200
    assert [task.minimal_ident for task in tasks] == idents
    del tasks[3]
    assert Task(int).minimal_ident == idents[3]


# ---- callbacks at start ----


def test_who_asked_is_told_of_each_start_before_it_runs(sim: Sim) -> None:
    told: list[tuple[Task, bool]] = []

    def note(task: Task) -> None:
        told.append((task, task.started))

    Task.add_spawn_callback(note)
    Task.add_spawn_callback(note)
    try:
        tasks = [spawn(int), Task.spawn(int), fibril.spawn_later(1, int)]
        unstarted = Task(int)
        tasks[0].start()
    finally:
        Task.remove_spawn_callback(note)
        Task.remove_spawn_callback(note)
    tasks.append(spawn(int))
    fibril.joinall(tasks)
    assert told == [(task, False) for task in tasks[:3]]
    assert not unstarted.started


def test_a_callback_that_fails_prevents_the_start(sim: Sim) -> None:
    def fail(task: Task) -> None:
        raise Failure

    Task.add_spawn_callback(fail)
    try:
        task = Task(int)
        with pytest.raises(Failure):
            task.start()
    finally:
        Task.remove_spawn_callback(fail)
    assert not task.started
    task.start()
    assert task.get() == 0
    with pytest.raises(TypeError, match="not callable"):
        Task.add_spawn_callback(1)  # type: ignore[arg-type]


# ---- with task: ----


def test_the_end_of_a_block_waits_for_its_task(sim: Sim) -> None:
    with spawn(sleep, 5) as task:
        assert not task.ready()
    assert task.successful()


def test_an_exception_in_the_block_kills_its_task(sim: Sim) -> None:
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            Event().wait()
        except Failure as error:
            caught.append(error)

    error = Failure()

    def fail_in_block() -> None:
        with spawn(wait):
            sleep(0)
            raise error

    with pytest.raises(Failure):
        fail_in_block()
    assert caught == [error]


def test_a_wait_at_the_end_of_a_block_that_is_cut_short_kills_its_task(sim: Sim) -> None:
    with pytest.raises(Timeout), Timeout(1), spawn(Event().wait) as task:
        pass
    assert isinstance(task.value, GreenletExit)


# ---- fibers that are no tasks ----


def test_a_raw_fiber_runs_soon_and_may_wait(sim: Sim) -> None:
    seen: list[Any] = []

    def work(*args: Any, **kwargs: Any) -> None:
        seen.append((args, kwargs))
        sleep(1)
        seen.append("end")

    fiber = fibril.spawn_raw(work, 1, two=2)
    assert fiber.spawn_tree_locals == {}  # type: ignore[attr-defined]
    assert type(fiber) is Fiber
    assert fiber.parent is get_hub()
    assert fiber.spawning_greenlet() is getcurrent()  # type: ignore[attr-defined]
    assert seen == []
    sleep(0)
    assert seen == [((1,), {"two": 2})]
    sleep(2)
    assert seen[1:] == ["end"]
    assert fiber.dead
    with pytest.raises(TypeError, match="not callable"):
        fibril.spawn_raw(1)  # type: ignore[arg-type]


def test_many_raw_fibers_that_wait_hold_up_nobody(sim: Sim) -> None:
    event, seen = Event(), []
    for number in range(100):
        fibril.spawn_raw(lambda number=number: (event.wait(), seen.append(number)))
    sleep(0)
    sleep(0)
    event.set()
    sleep(0)
    assert seen == list(range(100))


def test_a_raw_fiber_that_fails_is_reported(sim: Sim, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise Failure("of a raw fiber")

    fibril.spawn_raw(fail)
    sleep(0)
    assert "Failure: of a raw fiber" in capsys.readouterr().err
    assert spawn(int).get() == 0


def test_killall_ends_raw_fibers_too(sim: Sim) -> None:
    seen: list[str] = []

    def wait() -> None:
        try:
            Event().wait()
        finally:
            seen.append("ended")

    started, unstarted = fibril.spawn_raw(wait), Fiber(wait, get_hub())
    task = spawn(wait)
    sleep(0)
    fibril.killall([started, unstarted, task])
    assert started.dead
    assert unstarted.dead
    assert task.dead
    assert seen == ["ended"] * 2


def test_all_links_may_be_taken_back(sim: Sim) -> None:
    task, called = Task(int), []
    task.link(called.append)
    task.rawlink(called.append)
    assert task.has_links()
    task.unlink_all()
    assert not task.has_links()
    task.start()
    task.join()
    sleep(0)
    assert called == []


def test_trees_and_numbers_leave_nothing_behind(growth: Growth) -> None:
    def once() -> None:
        def child() -> None:
            getcurrent().spawn_tree_locals["task"] = getcurrent()  # type: ignore[attr-defined]

        def root() -> None:
            spawn(child).join()

        task = spawn(root)
        assert task.minimal_ident >= 0
        task.join()
        fibril.spawn_raw(int)
        sleep(0)
        weakref.ref(task)

    growth.refuse(once)
