"""Task: start, arguments, waiting, killing, links, subclasses, and what each has for itself."""

import sys
from collections import Counter
from contextvars import ContextVar
from typing import Any

import pytest

from fibril import (
    Fiber,
    FiberError,
    Task,
    Timeout,
    get_hub,
    getcurrent,
    joinall,
    sleep,
    spawn,
    spawn_later,
)
from fibril.errors import InvalidSwitchError
from fibril.event import Event
from fibril.lock import Semaphore
from fibril.task import FailureSpawnedLink, SpawnedLink, SuccessSpawnedLink
from tests.conftest import Sim

LONG = 1000


class Failure(Exception):
    pass


def fail(text: str = "failed") -> None:
    raise Failure(text)


@pytest.fixture(autouse=True)
def no_noise(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Tracebacks of failed tasks are expected, and captured."""
    return capsys


# ---- before, while, after ----


def test_spawn_runs_nothing_before_the_caller_waits(sim: Sim) -> None:
    ran = []
    task = spawn(ran.append, 1)
    assert ran == []
    assert (bool(task), task.started, task.ready(), task.dead) == (True, True, False, False)
    sleep(0)
    assert ran == [1]


def test_tasks_start_in_the_order_in_which_they_were_spawned(sim: Sim) -> None:
    order: list[int] = []
    for number in range(100):
        spawn(order.append, number)
    sleep(0)
    assert order == list(range(100))


def test_arguments_and_keywords_reach_the_function(sim: Sim) -> None:
    def take(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    task = spawn(take, 1, 2, three=3)
    assert (task.args, task.kwargs) == ((1, 2), {"three": 3})
    assert task.get() == ((1, 2), {"three": 3})
    assert Task.spawn(take, fn=1).get() == ((), {"fn": 1})
    assert spawn_later(1, take, seconds=2).get() == ((), {"seconds": 2})


def test_a_task_that_was_not_started_does_nothing(sim: Sim) -> None:
    task = Task(fail)
    sleep(1)
    assert (bool(task), task.started, task.ready()) == (False, False, False)
    task.start()
    task.start()
    sleep(0)
    assert type(task.exception) is Failure
    task.start()
    sleep(0)


def test_starting_later_takes_that_long(sim: Sim) -> None:
    times = []
    began = sim.now()
    spawn_later(5, lambda: times.append(sim.now() - began))
    task = Task(lambda: times.append(sim.now() - began))
    task.start_later(3)
    task.start_later(1)  # it is started already
    sleep(10)
    assert times == pytest.approx([3, 5])


@pytest.mark.parametrize("wrong", [5, "text", None, object()])
def test_what_cannot_be_called_is_refused_by_name(wrong: Any, sim: Sim) -> None:
    for use in (spawn, Task.spawn, Task, lambda fn: spawn_later(1, fn)):
        if wrong is None and use in (Task, Task.spawn):
            continue  # then _run is what runs
        with pytest.raises(TypeError) as caught:
            use(wrong)
        assert repr(wrong) in str(caught.value)
        assert "not callable" in str(caught.value)


def test_nothing_at_all_to_run_is_refused(sim: Sim) -> None:
    with pytest.raises(TypeError, match="nothing to run"):
        spawn()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        spawn_later(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        spawn_later("soon", fail)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nan"):
        spawn_later(float("nan"), fail)


def test_a_task_joins_itself_in_vain(sim: Sim) -> None:
    seen: list[Any] = []

    def work() -> None:
        getcurrent().join(1)  # type: ignore[attr-defined]
        seen.append(getcurrent().ready())  # type: ignore[attr-defined]

    spawn(work).join()
    assert seen == [False]


def test_get_without_waiting_or_with_a_timeout_raises_timeout(sim: Sim) -> None:
    task = spawn(sleep, LONG)
    with pytest.raises(Timeout):
        task.get(block=False)
    began = sim.now()
    with pytest.raises(Timeout) as caught:
        task.get(timeout=3)
    assert caught.value.seconds == 3
    assert sim.now() - began == pytest.approx(3)
    assert task.join(timeout=2) is None
    assert sim.now() - began == pytest.approx(5)
    assert task.join(timeout=0) is None
    assert not task.ready()


def test_get_raises_the_same_exception_each_time_with_its_own_traceback(sim: Sim) -> None:
    task = spawn(fail)
    lengths = set()
    for _ in range(5):
        with pytest.raises(Failure) as caught:
            task.get()
        assert caught.value is task.exception
        lengths.add(len(caught.traceback))
    assert len(lengths) == 1


# ---- joinall ----


def test_joinall_returns_those_that_ended_in_time(sim: Sim) -> None:
    tasks = [spawn(sleep, seconds) for seconds in (3, 1, 2, 9)]
    began = sim.now()
    assert joinall(tasks, timeout=5) == tasks[:3]
    assert sim.now() - began == pytest.approx(5)
    assert joinall(tasks) == tasks
    assert joinall([]) == []


def test_joinall_with_a_count_returns_the_first(sim: Sim) -> None:
    tasks = [spawn(sleep, seconds) for seconds in (3, 1, 2, 9)]
    assert joinall(tasks, count=2) == [tasks[1], tasks[2]]


def test_joinall_with_a_count_returns_no_more_when_others_end_at_once(sim: Sim) -> None:
    tasks = [spawn(int) for _ in range(3)]
    assert joinall(tasks, count=2) == tasks[:2]
    assert joinall(tasks, count=1) == tasks[:1]


def test_joinall_raises_the_first_error_and_the_others_go_on(sim: Sim) -> None:
    ended: list[int] = []

    def work(seconds: int) -> None:
        sleep(seconds)
        if seconds == 2:
            fail()
        ended.append(seconds)

    tasks = [spawn(work, seconds) for seconds in (3, 1, 2)]
    with pytest.raises(Failure):
        joinall(tasks, raise_error=True)
    assert ended == [1]
    joinall(tasks)
    assert ended == [1, 3]
    assert not any(task.has_links() for task in tasks)


# ---- links ----


def test_a_raw_link_runs_in_the_hub_and_a_link_in_a_task_of_its_own(sim: Sim) -> None:
    where: list[Fiber] = []
    task = spawn(lambda: None)
    task.rawlink(lambda _: where.append(getcurrent()))
    task.link(lambda _: where.append(getcurrent()))
    task.join()
    sleep(0)
    assert where[0] is get_hub() or where[1] is get_hub()
    assert any(isinstance(fiber, Task) and fiber is not task for fiber in where)


def test_links_can_be_taken_back(sim: Sim) -> None:
    seen: list[Any] = []
    task = spawn(lambda: None)
    for add in (task.link, task.rawlink, task.link_value, task.link_exception):
        add(seen.append)
        assert task.has_links()
        task.unlink(seen.append)
        assert not task.has_links()
    task.unlink(seen.append)
    task.join()
    sleep(0)
    assert seen == []


def test_arguments_may_be_given_by_the_names_that_gevent_has_for_them(sim: Sim) -> None:
    seen: list[Any] = []
    task = Task(lambda: None)
    event, semaphore = Event(), Semaphore(0)
    subjects: list[Any] = [task, event, semaphore]
    for subject in subjects:
        subject.rawlink(callback=seen.append)
        subject.unlink(callback=seen.append)
        subject.rawlink(callback=seen.append)
        for wrong in ({}, {"function": seen.append}, {"callback": 1, "more": 2}):
            with pytest.raises(TypeError, match="give one argument, callback: "):
                subject.rawlink(**wrong)
    task.link(callback=seen.append)
    task.link_value(callback=seen.append)
    task.link_exception(callback=seen.append)
    Task.add_spawn_callback(callback=seen.append)
    task.start_later(seconds=1)
    Task.remove_spawn_callback(callback=seen.append)
    event.set()
    semaphore.release()
    sleep(2)
    # The task as what was spawned, as rawlinked, linked, and linked where it has a value.
    assert Counter(map(id, seen)) == {id(task): 4, id(event): 1, id(semaphore): 1}
    assert (event.linkcount(), semaphore.linkcount()) == (0, 0)


def test_a_link_may_say_itself_that_it_runs_in_a_fiber_of_its_own(
    sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []

    def note(source: Any) -> None:
        sleep(1)
        seen.append((source, type(getcurrent())))

    good, bad = spawn(lambda: None), spawn(fail)
    for kind in (SpawnedLink, SuccessSpawnedLink, FailureSpawnedLink):
        good.rawlink(kind(note))
        bad.rawlink(kind(note))
    assert kind(note) == SpawnedLink(note) == note
    assert (hash(kind(note)), repr(kind(note))) == (hash(note), repr(note))
    sleep(2)
    assert seen == [(good, Fiber), (good, Fiber), (bad, Fiber), (bad, Fiber)]
    for link in (SpawnedLink(seen.append), note):
        task = spawn(lambda: None)
        task.rawlink(SpawnedLink(link))  # type: ignore[arg-type]
        task.unlink(link)
        assert task.has_links() is False
        task.join()
    with pytest.raises(TypeError, match="not callable"):
        SpawnedLink(5)  # type: ignore[arg-type]


@pytest.mark.fibril_unseen_ok("the report is what counts")
def test_a_link_that_fails_is_reported_and_the_others_run(
    sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []
    task = spawn(lambda: None)
    for _ in range(2):
        task.rawlink(lambda _: fail())
        task.link(lambda _: fail())
        task.rawlink(seen.append)
    task.join()
    sleep(0)
    assert seen == [task, task]
    assert capsys.readouterr().err.count("Failure: failed") == 4


def test_what_cannot_be_called_cannot_be_linked(sim: Sim) -> None:
    task = Task(fail)
    for add in (task.link, task.rawlink, task.link_value, task.link_exception):
        with pytest.raises(TypeError, match="not callable"):
            add(5)  # type: ignore[arg-type]


def test_links_added_by_a_link_run_too(sim: Sim) -> None:
    seen: list[str] = []
    task = spawn(lambda: None)
    task.rawlink(lambda ended: ended.rawlink(lambda _: seen.append("second")))
    task.join()
    sleep(0)
    sleep(0)
    assert seen == ["second"]


# ---- subclasses, names ----


def test_a_subclass_may_define_run_in_two_ways(sim: Sim) -> None:
    class Inner(Task):
        def _run(self, *args: Any) -> Any:
            return ("inner", args, self.extra)

    class Outer(Task):
        def run(self) -> None:
            steps.append("before")
            super().run()  # type: ignore[misc]
            steps.append("after")

    steps: list[str] = []
    inner = Inner(None, 1)
    inner.extra = "attribute"  # type: ignore[attr-defined]
    inner.start()
    assert inner.get() == ("inner", (1,), "attribute")
    assert Outer.spawn(lambda: "value").get() == "value"
    sleep(0)
    assert steps == ["before", "after"]


def test_an_overridden_run_that_never_calls_ours_settles_all_the_same(sim: Sim) -> None:
    class Own(Task):
        def run(self) -> Any:
            return "own"

    class Failing(Task):
        def run(self) -> None:
            fail()

    assert Own.spawn(lambda: None).get() == "own"
    with pytest.raises(Failure):
        Failing.spawn(lambda: None).get()


def test_run_cannot_be_called_by_hand(sim: Sim) -> None:
    task = Task(lambda: 1)
    with pytest.raises(FiberError):
        task.run()  # type: ignore[operator]
    task.start()
    with pytest.raises(FiberError):
        task.run()  # type: ignore[operator]
    assert task.get() == 1
    with pytest.raises(FiberError):
        task.run()  # type: ignore[operator]


def test_names_are_unique_and_can_be_set(sim: Sim) -> None:
    tasks = [Task(fail) for _ in range(10)]
    assert len({task.name for task in tasks}) == 10
    tasks[0].name = "pump"
    assert tasks[0].name == "pump"
    with pytest.raises(TypeError):
        tasks[0].name = 5  # type: ignore[assignment]


def test_a_task_is_told_where_it_was_spawned(sim: Sim) -> None:
    def spawner() -> Task:
        return spawn(lambda: None)

    task = spawner()
    assert task.spawned_at is not None
    file, line, function = task.spawned_at
    assert (file, function) == (__file__, "spawner")
    assert line == spawner.__code__.co_firstlineno + 1


# ---- state of the interpreter ----


def test_context_variables_are_copied_at_spawn(sim: Sim) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="none")

    def use(value: str) -> tuple[str, str]:
        before = variable.get()
        variable.set(value)
        sleep(1)
        return before, variable.get()

    without = spawn(use, "w")
    variable.set("main's")
    tasks = [spawn(use, str(number)) for number in range(5)]
    late = Task(use, "late")
    variable.set("changed")
    late.start()
    assert without.get()[0] == "none"
    assert [task.get() for task in tasks] == [("main's", str(number)) for number in range(5)]
    assert late.get() == ("changed", "late")
    assert variable.get() == "changed"


def test_the_contexts_of_ended_tasks_are_not_used_again(sim: Sim) -> None:
    variable: ContextVar[Any] = ContextVar("variable")
    variable.set("main's")

    def use(value: Any) -> Any:
        variable.set(value)
        sleep(0)
        sleep(0)
        return variable.get()

    for number in range(300):
        first = spawn(use, number)
        first.join()
        second = spawn(use, (number, 2))
        del first
        third = spawn(use, (number, 3))
        assert [second.get(), third.get()] == [(number, 2), (number, 3)]


def test_the_handled_exception_belongs_to_the_task(sim: Sim) -> None:
    def handle(number: int) -> bool:
        try:
            fail(str(number))
        except Failure as error:
            for _ in range(5):
                sleep(0)
                if sys.exc_info()[1] is not error:
                    return False
        return sys.exc_info() == (None, None, None)

    tasks = [spawn(handle, number) for number in range(20)]
    try:
        raise KeyError
    except KeyError as ours:
        assert all(task.get() for task in tasks)
        assert sys.exc_info()[1] is ours  # noqa: PT017


def test_recursion_depth_does_not_leak_between_thousands_of_parked_tasks(sim: Sim) -> None:
    def recurse(levels: int) -> int:
        if levels == 0:
            sleep(1)
            return 0
        return 1 + recurse(levels - 1)

    tasks = [spawn(recurse, 100) for _ in range(2000)]
    sleep(0)
    assert recurse(500) == 500
    assert {task.get() for task in tasks} == {100}
    deep = spawn(recurse, 5000)
    with pytest.raises(RecursionError):
        deep.get()


def test_a_task_that_somebody_switches_to_by_hand_says_what_is_wrong(sim: Sim) -> None:
    task = spawn(sleep, LONG)
    sleep(0)
    get_hub().call_soon(task.switch, "a value")
    with pytest.raises(InvalidSwitchError, match="a value"):
        task.get()


@pytest.mark.parametrize("seconds", [0, 1])
def test_an_exception_thrown_by_hand_arrives_in_any_sleep(seconds: int, sim: Sim) -> None:
    steps: list[str] = []

    def work() -> None:
        try:
            sleep(seconds)
        except Failure:
            steps.append("caught")

    task = spawn(work)
    spawn(task.throw, Failure)
    task.join()
    assert steps == ["caught"]


def test_the_function_may_be_given_by_name_as_gevents_may(fresh: None) -> None:
    task = Task(run=lambda *args, **kwargs: (args, kwargs), name="x", stack_size=1 << 20)
    task.start()
    assert task.get() == ((), {"name": "x"})
    assert Task.spawn(run=len, obj="abc").exception is None
    assert Task(None, run=3).start() is None
    with pytest.raises(TypeError, match="not callable"):
        Task(run=3)
