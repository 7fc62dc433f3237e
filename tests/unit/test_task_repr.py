"""What a task says of itself, and of the line that started it."""

import functools
from typing import Any

import pytest

from fibril import Task, joinall, kill, killall, sleep, spawn, spawn_later
from fibril.pool import Group, Pool
from tests.conftest import Interpreter, Sim


def work(*args: object, **kwargs: object) -> None:
    sleep(0)


class Worker(Task[Any]):
    def _run(self, *args: object) -> None:
        pass


def shown(task: Task[Any]) -> str:
    """Without what differs each time."""
    return repr(task).replace(f" at {id(task):#x}", "")


# ---- repr ----


def test_it_says_what_it_calls_and_with_what(sim: Sim) -> None:
    assert shown(spawn(work)) == "<Task: work>"
    assert shown(spawn(work, 3, "text", key=[4])) == "<Task: work(3, 'text', key=[4])>"
    assert shown(spawn(len, "text")) == "<Task: <built-in function len>('text')>"
    assert shown(Task()) == "<Task: _run>"
    assert shown(Worker()) == "<Worker: _run>"
    assert shown(Worker(None, 3)) == "<Worker: _run(3)>"
    partial = functools.partial(int, "5")
    assert shown(spawn(partial)) == f"<Task: {partial!r}>"
    sleep(0)


def test_it_says_its_name_once_it_has_one(sim: Sim) -> None:
    task = spawn(work)
    assert task.name.startswith("Task-")
    assert shown(task) == f'<Task "{task.name}": work>'
    task.name = "fetcher"
    assert shown(task) == str(task).replace(f" at {id(task):#x}", "") == '<Task "fetcher": work>'


@pytest.mark.fibril_unseen_ok("who asks how it failed is told by its repr")
def test_when_it_has_ended_it_says_how(sim: Sim, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [spawn(work, 3), spawn(int, "x"), spawn(sleep, 10)]
    sleep(0)
    assert shown(tasks[0]) == "<Task: work(3)>"
    tasks[2].kill()
    joinall(tasks)
    assert [shown(tasks[0]), shown(tasks[2])] == ["<Task: ended>"] * 2
    assert shown(tasks[1]) == f'<Task "{tasks[1].name}": failed with ValueError>'
    assert f": <class 'int'>('x'), spawned at {__file__}" in capsys.readouterr().err


def test_what_is_long_is_cut_and_what_fails_hides_nothing(sim: Sim) -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError("no repr")

    assert len(shown(spawn(work, "x" * 10_000, *range(1000)))) < 200
    assert shown(spawn(work, "x" * 100)) == f"<Task: work('{'x' * 56}...)>"
    assert shown(spawn(work, *range(11))) == "<Task: work(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...)>"
    assert (
        shown(spawn(work, Broken(), 1)) == "<Task: work(<Broken, whose repr raises ValueError>, 1)>"
    )
    sleep(0)


def test_a_repr_that_is_interrupted_is_interrupted(sim: Sim) -> None:
    class Interrupted:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    task = spawn(work, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        repr(task)


def test_it_may_be_among_its_own_arguments(sim: Sim) -> None:
    box: list[object] = []
    task = spawn(work, box)
    box.append(task)
    assert shown(task) == "<Task: work([<Task: ...>])>"


def test_a_repr_that_ends_the_task_it_is_asked_for_is_harmless(sim: Sim) -> None:
    class Ending:
        def __repr__(self) -> str:
            task.kill()
            return "Ending"

    task = spawn(work, Ending(), Ending(), key=Ending())
    assert shown(task) == "<Task: work(Ending, Ending, key=Ending)>"
    assert shown(task) == "<Task: ended>"


# ---- where it was started ----


def test_the_line_that_started_it_is_the_users_not_a_pools(sim: Sim) -> None:
    pool, group = Pool(3), Group()
    tasks = [
        spawn(work),
        pool.spawn(work),
        group.spawn(work),
        pool.apply_async(work),
        spawn_later(1, work),
        Task.spawn(work),
    ]
    places = {task.spawned_at[:1] + task.spawned_at[2:] for task in tasks if task.spawned_at}
    assert places == {(__file__, "test_the_line_that_started_it_is_the_users_not_a_pools")}
    assert len({task.spawned_at for task in tasks}) == len(tasks)
    joinall(tasks)


def test_the_same_for_threads_and_executors_that_are_tasks(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        from fibril import monkey
        monkey.patch_all()
        import threading, fibril
        from concurrent.futures import ThreadPoolExecutor

        def where():
            print(fibril.getcurrent().spawned_at[1:])

        def user():
            threading.Thread(target=where).start()
            ThreadPoolExecutor(1).submit(where)

        user()
    """)
    assert out == "(10, 'user')\n(11, 'user')\n"


# ---- refusals ----


def test_an_async_function_is_refused_in_words(sim: Sim) -> None:
    async def fetch() -> None:
        pass

    class Client:
        async def fetch(self) -> None:
            pass

    for function in (fetch, Client().fetch):
        for start in (spawn, Task, Pool(1).spawn, lambda function: spawn_later(1, function)):
            with pytest.raises(TypeError, match="it is an async function"):
                start(function)


@pytest.mark.parametrize("wrong", [None, work, "text"])
def test_only_fibers_can_be_killed(wrong: Any, sim: Sim) -> None:
    task = spawn(sleep, 10)
    with pytest.raises(TypeError, match="it is no task, and no other fiber"):
        kill(wrong)
    with pytest.raises(TypeError, match="it is no task, and no other fiber"):
        killall([task, wrong])
    with pytest.raises(TypeError, match="killall takes several"):
        killall(task)  # type: ignore[arg-type]
    sleep(0)
    assert not task.dead
    task.kill()
