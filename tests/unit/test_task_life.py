"""Task: its life, as the whole product of how it ends and who watches."""

import gc
import itertools
import weakref
from collections.abc import Callable

import pytest

from fibril import Task, Timeout, getcurrent, joinall, sleep, spawn, spawn_later
from fibril.event import Event
from tests.conftest import Interpreter, Sim

LONG = 1000


class Failure(Exception):
    pass


def fail(text: str = "failed") -> None:
    raise Failure(text)


@pytest.fixture(autouse=True)
def no_noise(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Tracebacks of failed tasks are expected, and captured."""
    return capsys


# ---- the product: how it ends, who watches, since when ----

Drive = Callable[[], None]


def returns() -> tuple[Task, Drive]:
    return spawn(lambda: "value"), lambda: None


def returns_late() -> tuple[Task, Drive]:
    return spawn(lambda: (sleep(1), "value")[1]), lambda: None


def raises() -> tuple[Task, Drive]:
    return spawn(fail), lambda: None


def raises_late() -> tuple[Task, Drive]:
    return spawn(lambda: (sleep(1), fail())), lambda: None


def killed_before_start() -> tuple[Task, Drive]:
    task = spawn(fail)
    return task, lambda: task.kill(block=False)


def killed_before_start_with_an_error() -> tuple[Task, Drive]:
    task = spawn(lambda: "never")
    return task, lambda: task.kill(Failure, block=False)


def killed_while_its_start_is_timed() -> tuple[Task, Drive]:
    task = spawn_later(LONG, fail)
    return task, lambda: task.kill(block=False)


def killed_while_parked() -> tuple[Task, Drive]:
    task = spawn(sleep, LONG)
    sleep(0)
    return task, lambda: task.kill(block=False)


def killed_while_parked_with_an_error() -> tuple[Task, Drive]:
    task = spawn(sleep, LONG)
    sleep(0)
    return task, lambda: task.kill(Failure("killed"), block=False)


def killed_while_ready() -> tuple[Task, Drive]:
    event = Event()
    task = spawn(event.wait)
    sleep(0)

    def drive() -> None:
        event.set()
        task.kill(block=False)

    return task, drive


def killed_in_sleep_zero() -> tuple[Task, Drive]:
    def yield_for_ever() -> None:
        while True:
            sleep(0)

    task = spawn(yield_for_ever)
    sleep(0)
    return task, lambda: task.kill(block=False)


def killed_twice() -> tuple[Task, Drive]:
    task = spawn(sleep, LONG)
    sleep(0)

    def drive() -> None:
        task.kill(block=False)
        task.kill(Failure, block=False)

    return task, drive


def killed_by_itself() -> tuple[Task, Drive]:
    return spawn(lambda: getcurrent().kill()), lambda: None  # type: ignore[attr-defined]


def killed_by_its_own_timeout() -> tuple[Task, Drive]:
    def work() -> None:
        Timeout.start_new(1, Failure)
        sleep(LONG)

    return spawn(work), lambda: None


def switched_to_by_hand() -> tuple[Task, Drive]:
    task = spawn(lambda: "value")

    def drive() -> None:
        spawn(task.switch)

    return task, drive


VALUE, EXIT, ERROR = "value", "GreenletExit", "Failure"
ENDINGS: dict[Callable[[], tuple[Task, Drive]], str] = {
    returns: VALUE,
    returns_late: VALUE,
    raises: ERROR,
    raises_late: ERROR,
    killed_before_start: EXIT,
    killed_before_start_with_an_error: ERROR,
    killed_while_its_start_is_timed: EXIT,
    killed_while_parked: EXIT,
    killed_while_parked_with_an_error: ERROR,
    killed_while_ready: EXIT,
    killed_in_sleep_zero: EXIT,
    killed_twice: EXIT,
    killed_by_itself: EXIT,
    killed_by_its_own_timeout: ERROR,
    switched_to_by_hand: VALUE,
}


def outcome_of(task: Task) -> str:
    """How it ended, as all of its attributes must agree."""
    assert task.ready()
    assert task.dead
    assert not task
    assert not task.started
    if not task.successful():
        assert task.value is None
        assert task.exc_info is not None
        assert task.exc_info[:2] == (type(task.exception), task.exception)
        return type(task.exception).__name__
    assert task.exception is None
    assert task.exc_info is None
    return task.value if isinstance(task.value, str) else type(task.value).__name__


def got_from(task: Task) -> str:
    try:
        got = task.get()
    except Failure as error:
        return type(error).__name__
    return got if isinstance(got, str) else type(got).__name__


def joined(task: Task, seen: list[str]) -> None:
    spawn(lambda: (task.join(), seen.append(outcome_of(task))))


def joined_with_a_timeout(task: Task, seen: list[str]) -> None:
    spawn(lambda: (task.join(LONG), seen.append(outcome_of(task))))


def got(task: Task, seen: list[str]) -> None:
    spawn(lambda: seen.append(got_from(task)))


def linked(task: Task, seen: list[str]) -> None:
    task.link(lambda ended: seen.append(outcome_of(ended)))


def linked_by_outcome(task: Task, seen: list[str]) -> None:
    task.link_value(lambda ended: ended.successful() and seen.append(outcome_of(ended)))
    task.link_exception(lambda ended: ended.successful() or seen.append(outcome_of(ended)))


def rawlinked(task: Task, seen: list[str]) -> None:
    task.rawlink(lambda ended: seen.append(outcome_of(ended)))


def in_joinall(task: Task, seen: list[str]) -> None:
    spawn(lambda: seen.extend(map(outcome_of, joinall([task]))))


def in_joinall_by_count(task: Task, seen: list[str]) -> None:
    spawn(lambda: seen.extend(map(outcome_of, joinall([task], count=1))))


WATCHERS = [
    joined,
    joined_with_a_timeout,
    got,
    linked,
    linked_by_outcome,
    rawlinked,
    in_joinall,
    in_joinall_by_count,
]


@pytest.mark.parametrize("watch", WATCHERS)
@pytest.mark.parametrize("end", ENDINGS)
def test_each_watcher_sees_each_end_once(
    end: Callable[[], tuple[Task, Drive]], watch: Callable[[Task, list[str]], None], sim: Sim
) -> None:
    task, drive = end()
    seen: list[str] = []
    watch(task, seen)
    watch(task, seen)
    drive()
    sleep(10)
    assert seen == [ENDINGS[end]] * 2
    watch(task, seen)  # and after the end
    sleep(1)
    assert seen == [ENDINGS[end]] * 3
    assert not task.has_links()


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.fibril_unseen_ok("nobody has the task")
def test_a_task_that_everybody_dropped_ends_all_the_same_and_is_freed(
    end: Callable[[], tuple[Task, Drive]], sim: Sim
) -> None:
    task, drive = end()
    drive()
    reference = weakref.ref(task)
    del task, drive
    sleep(10)
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("end", ENDINGS)
def test_a_failure_is_printed_once_however_many_watch(
    end: Callable[[], tuple[Task, Drive]], sim: Sim, capsys: pytest.CaptureFixture[str]
) -> None:
    task, drive = end()
    seen: list[str] = []
    for watch in (joined, got, rawlinked):
        watch(task, seen)
    drive()
    sleep(10)
    printed = capsys.readouterr().err
    assert printed.count("failed with Failure") == (ENDINGS[end] == ERROR)
    assert printed.count("Traceback") == (ENDINGS[end] == ERROR)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(ENDINGS, repeat=2)))
def test_ends_do_not_disturb_each_other(
    first: Callable[[], tuple[Task, Drive]], second: Callable[[], tuple[Task, Drive]], sim: Sim
) -> None:
    one, drive_one = first()
    drive_one()
    two, drive_two = second()
    drive_two()
    joinall([two, one])
    assert [outcome_of(one), outcome_of(two)] == [ENDINGS[first], ENDINGS[second]]


def test_a_thread_that_has_no_hub_yet_is_told_of_a_task_that_another_one_ends(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import threading, fibril
        killed = threading.Event()
        tasks, told = [], []

        def work():
            task = fibril.Task(int)
            task.rawlink(told.append)
            tasks.append(task)
            killed.wait(20)
            fibril.sleep(0.01)
            hub = fibril.get_hub()
            print(told == tasks, hub.thread_ident == threading.get_ident(), hub.main_hub)
            print(hub.parent is fibril.getcurrent(), fibril.spawn(int).get())

        thread = threading.Thread(target=work)
        thread.start()
        while not tasks:
            fibril.sleep(0.001)
        tasks[0].kill(block=False)
        killed.set()
        thread.join()
        print(fibril.get_hub().main_hub)
    """)
    assert out == "True True False\nTrue 0\nTrue\n"
