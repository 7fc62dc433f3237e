"""Killing tasks: what is raised where, who waits for whose end, and who goes on when."""

import contextlib
import gc
from typing import Any

import pytest

from fibril import (
    Fiber,
    GreenletExit,
    Task,
    Timeout,
    get_hub,
    getcurrent,
    joinall,
    kill,
    killall,
    sleep,
    spawn,
    spawn_later,
    spawn_raw,
)
from fibril.errors import InvalidSwitchError
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


@pytest.mark.parametrize(
    "what",
    [Failure, Failure("given"), (Failure, "given"), (Failure, "given", None), (Failure, None)],
)
def test_kill_takes_a_class_an_instance_or_a_tuple(what: Any, sim: Sim) -> None:
    parked = spawn(sleep, LONG)
    unstarted = Task(sleep, LONG)
    sleep(0)
    for task in (parked, unstarted):
        task.kill(what)
        assert type(task.exception) is Failure
        expected = () if what is Failure or what == (Failure, None) else ("given",)
        assert task.exception.args == expected


@pytest.mark.parametrize("wrong", [5, "text", int, (), (5,), object()])
def test_who_is_killed_with_what_is_no_exception_dies_of_a_type_error(wrong: Any, sim: Sim) -> None:
    parked, unstarted, raw = spawn(sleep, LONG), Task(sleep, LONG), spawn_raw(sleep, LONG)
    sleep(0)
    for task in (parked, unstarted):
        task.kill(wrong)
        assert type(task.exception) is TypeError
    killall([raw], wrong)
    assert raw.dead


def test_kill_before_first_switch_runs_nothing(sim: Sim) -> None:
    ran: list[int] = []
    task = spawn(ran.append, 1)
    task.kill()
    sleep(1)
    assert ran == []
    assert isinstance(task.value, GreenletExit)


def test_kill_waits_for_the_end_and_finally_blocks_may_wait(sim: Sim) -> None:
    steps: list[str] = []

    def work() -> None:
        try:
            sleep(LONG)
        finally:
            sleep(3)
            steps.append("cleaned up")

    task = spawn(work)
    sleep(0)
    began = sim.now()
    task.kill()
    assert steps == ["cleaned up"]
    assert sim.now() - began == pytest.approx(3)


@pytest.mark.parametrize("how", ["kill", "killall"])
def test_who_kills_goes_on_before_others_once_the_victim_has_ended(how: str, sim: Sim) -> None:
    order: list[str] = []
    victim = spawn(sleep, 10)
    sleep(0)

    def kill_it(name: str) -> None:
        victim.kill() if how == "kill" else killall([victim])
        order.append(name)

    def others() -> None:
        for number in range(3):
            order.append(str(number))
            sleep(0)

    joinall([spawn(kill_it, "first"), spawn(kill_it, "second"), spawn(others)])
    assert order == ["0", "first", "second", "1", "2"]


def test_what_is_linked_to_a_victim_runs_before_who_killed_it_goes_on(sim: Sim) -> None:
    order: list[str] = []
    victim = spawn(sleep, 10)
    victim.rawlink(lambda _: order.append("raw link"))
    victim.link(lambda _: order.append("link"))
    sleep(0)
    victim.kill()
    assert order == ["raw link", "link"]


def test_kill_with_a_timeout_gives_up(sim: Sim) -> None:
    def stubborn() -> None:
        while True:
            try:
                sleep(LONG)
            except GreenletExit:
                pass

    task = spawn(stubborn)
    sleep(0)
    with pytest.raises(Timeout):
        task.kill(timeout=2)
    assert not task.ready()
    task.kill(Failure)
    assert type(task.exception) is Failure


def test_kill_without_blocking_returns_before_anything_happens(sim: Sim) -> None:
    steps: list[str] = []

    def work() -> None:
        try:
            sleep(LONG)
        finally:
            steps.append("ended")

    task = spawn(work)
    sleep(0)
    task.kill(block=False)
    assert steps == []
    assert not task.ready()
    sleep(0)
    assert steps == ["ended"]


def test_killing_the_dead_does_nothing(sim: Sim) -> None:
    task = spawn(lambda: "value")
    task.join()
    task.kill()
    task.kill(Failure, timeout=1)
    kill(task)
    assert task.value == "value"


def test_a_task_may_survive_its_kill(sim: Sim) -> None:
    def work() -> str:
        try:
            sleep(LONG)
        except GreenletExit:
            sleep(1)
        return "survived"

    task = spawn(work)
    sleep(0)
    task.kill()
    assert task.value == "survived"


def test_whoever_kills_may_be_killed_meanwhile(sim: Sim) -> None:
    def stubborn() -> None:
        try:
            sleep(LONG)
        finally:
            sleep(10)

    victim = spawn(stubborn)
    sleep(0)
    killer = spawn(victim.kill)
    sleep(1)
    killer.kill()
    assert killer.ready()
    assert not victim.ready()
    victim.join()


def test_tasks_may_kill_each_other(sim: Sim) -> None:
    tasks: list[Task] = []

    def work(other: int) -> None:
        sleep(1)
        tasks[other].kill()

    tasks += [spawn(work, 1), spawn(work, 0)]
    joinall(tasks)
    assert all(task.successful() for task in tasks)


def test_a_kill_reaches_a_fiber_inside_a_nested_switch(sim: Sim) -> None:
    """The task has left by hand for a fiber of its own, which waits."""
    steps: list[str] = []

    def inner() -> None:
        try:
            sleep(LONG)
        finally:
            steps.append("inner")

    def work() -> None:
        try:
            Fiber(inner).switch()
        finally:
            steps.append("outer")

    task = spawn(work)
    sleep(0)
    task.kill()
    assert task.ready()
    gc.collect()
    sleep(0)
    assert "outer" in steps


def test_throw_ends_a_task_that_never_started(sim: Sim) -> None:
    ran: list[int] = []
    task = spawn(ran.append, 1)
    task.throw(Failure)
    sleep(0)
    assert type(task.exception) is Failure
    assert ran == []


def test_throw_switches_at_once(sim: Sim) -> None:
    steps: list[str] = []

    def work() -> None:
        try:
            sleep(LONG)
        except Failure:
            steps.append("thrown")

    task = spawn(work)
    sleep(0)
    get_hub().call_soon(task.throw, Failure)
    task.join()
    assert steps == ["thrown"]


def test_kill_and_killall_take_plain_fibers_too(sim: Sim) -> None:
    main = getcurrent()
    steps: list[str] = []

    def work(name: str) -> None:
        try:
            main.switch()
        finally:
            steps.append(name)

    fibers = [Fiber(work), Fiber(work)]
    for fiber, name in zip(fibers, "ab", strict=True):
        fiber.switch(name)
    kill(fibers[0])
    assert steps == []
    with contextlib.suppress(InvalidSwitchError):  # the fiber's parent is who sleeps here
        sleep(0)
    assert steps == ["a"]
    killall(fibers, Failure)
    with pytest.raises(Failure):
        sleep(0)
    assert steps == ["a", "b"]


def test_killall_waits_for_all(sim: Sim) -> None:
    def work(seconds: int) -> None:
        try:
            sleep(LONG)
        finally:
            sleep(seconds)

    tasks = [spawn(work, number) for number in range(5)]
    tasks.append(spawn_later(LONG, work, 0))
    sleep(0)
    began = sim.now()
    killall(tasks)
    assert sim.now() - began == pytest.approx(4)
    assert all(task.ready() for task in tasks)


def test_killall_with_a_timeout_gives_up(sim: Sim) -> None:
    def stubborn() -> None:
        try:
            sleep(LONG)
        finally:
            sleep(LONG)

    tasks = [spawn(stubborn) for _ in range(3)]
    sleep(0)
    with pytest.raises(Timeout):
        killall(tasks, timeout=2)
    killall(tasks, block=False)
    killall(iter(tasks), Failure)
