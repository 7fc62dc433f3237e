"""Who has looked at how a task died, and what is kept of those nobody looked at."""

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

import fibril
from fibril import Task, get_hub, sleep, spawn
from fibril.errors import GreenletExit
from fibril.event import AsyncResult
from fibril.hub import Hub, error_listeners
from fibril.pool import Group
from fibril.testing import unseen
from tests.conftest import Sim


class Failure(Exception):
    pass


def fail() -> None:
    raise Failure("so it is")


@pytest.fixture(autouse=True)
def watching(sim: Sim) -> Iterator[None]:
    unseen.watch()
    assert unseen.take() == []
    yield
    assert unseen.take() == []


def raises(wait: Callable[[], object]) -> None:
    with pytest.raises(Failure):
        wait()


def get(task: Task) -> None:
    raises(task.get)


def get_late(task: Task) -> None:
    task.join()
    raises(task.get)


def ask_for_exception(task: Task) -> None:
    fibril.joinall([task])
    assert isinstance(task.exception, Failure)


def ask_for_exc_info(task: Task) -> None:
    task.join()
    assert task.exc_info is not None


def ask_for_success(task: Task) -> None:
    task.join()
    assert not task.successful()


def join_all(task: Task) -> None:
    other = spawn(fail)
    raises(lambda: fibril.joinall([task, other], raise_error=True))


def join_group(task: Task) -> None:
    group = Group([task])
    group.spawn(fail)
    raises(lambda: group.join(raise_error=True))


def link_result(task: Task) -> None:
    result = AsyncResult()
    task.link(result)
    raises(result.get)


def link_exception(task: Task) -> None:
    task.link_exception(lambda _: None)
    task.join()


def link_exception_late(task: Task) -> None:
    task.join()
    task.link_exception(lambda _: None)


@pytest.mark.parametrize(
    "look",
    [
        *(get, get_late, ask_for_exception, ask_for_exc_info, ask_for_success, join_all),
        *(join_group, link_result, link_exception, link_exception_late),
    ],
)
def test_what_somebody_has_looked_at_is_not_unseen(look: Callable[[Task], None]) -> None:
    look(spawn(fail))
    sleep(0)
    assert unseen.take() == []


def join(task: Task) -> None:
    task.join()


def iterate(task: Task) -> None:
    assert list(fibril.iwait([task])) == [task]


def ask_for_value(task: Task) -> None:
    task.join()
    assert (task.value, task.ready(), task.dead) == (None, True, True)


def link_value(task: Task) -> None:
    task.link_value(get)
    task.link(lambda _: None)
    task.rawlink(lambda _: None)
    task.join()


def ask_too_early(task: Task) -> None:
    assert not task.successful()
    assert task.exception is None
    task.join()


@pytest.mark.parametrize("wait", [join, iterate, ask_for_value, link_value, ask_too_early])
def test_to_wait_is_not_to_look(wait: Callable[[Task], None]) -> None:
    task = spawn(fail)
    task.name = "worker"
    wait(task)
    sleep(0)
    (text,) = unseen.take()
    lines = text.splitlines()
    assert lines[0] == 'task "worker" (fail) died of Failure'
    assert lines[1].startswith('<Task "worker" at 0x')
    assert f"spawned at {__file__}:" in lines[1]
    assert lines[2] == "Traceback (most recent call last):"
    assert lines[-1].endswith("Failure: so it is")
    assert unseen.take() == []


def test_an_end_that_is_no_error_is_not_told() -> None:
    hub = get_hub()
    hub.NOT_ERROR = (*Hub.NOT_ERROR, Failure)
    spawn(fail).join()
    task = spawn(sleep, 10)
    sleep(0)
    task.kill(GreenletExit)
    assert unseen.take() == []


def test_a_hub_that_handles_errors_itself_has_seen_them(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(get_hub(), "handle_error", lambda context, *error: told.append(context))
    task = spawn(fail)
    task.join()
    assert (told, unseen.take()) == ([task], [])


def test_neither_the_task_nor_its_frames_are_kept() -> None:
    class Socket:
        pass

    def work() -> None:
        mine = Socket()
        seen.append(weakref.ref(mine))
        fail()

    seen: list[weakref.ref[Socket]] = []
    task = spawn(work)
    reference = weakref.ref(task)
    task.join()
    del task
    gc.collect()
    assert (reference(), seen[0]()) == (None, None)
    assert len(unseen.take()) == 1


def test_of_many_ten_are_told() -> None:
    fibril.joinall([spawn(fail) for _ in range(12)])
    texts = unseen.take()
    assert len(texts) == 11
    assert all("Traceback" in text for text in texts[:10])
    assert texts[10] == "… and 2 more"


def test_nothing_is_noted_unless_asked() -> None:
    unseen.unwatch()
    unseen.unwatch()
    spawn(fail).join()
    unseen.watch()
    unseen.watch()
    assert unseen.take() == []
    assert len(error_listeners) == len(set(error_listeners))
