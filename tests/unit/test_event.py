"""Event and AsyncResult: nobody who waits misses what happens."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril import Timeout, sleep, spawn
from fibril.dispatch.executor import Future
from fibril.event import AbstractLinkable, AsyncResult, Event
from fibril.lock import BoundedSemaphore, RLock, Semaphore
from tests.conftest import Interpreter, Sim


def test_everybody_who_waits_is_woken_in_order(sim: Sim) -> None:
    event = Event()
    woken = []

    def wait(name: str) -> None:
        event.wait()
        woken.append(name)

    tasks = [spawn(wait, name) for name in "abc"]
    sleep(0)
    event.set()
    fibril.joinall(tasks)
    assert woken == ["a", "b", "c"]


def test_who_waited_sees_it_set_even_if_it_is_cleared_at_once(sim: Sim) -> None:
    event = Event()
    task = spawn(event.wait)
    sleep(0)
    event.set()
    event.clear()
    assert task.get() is True
    assert not event.is_set()


def test_waiting_for_a_set_event_does_not_switch(sim: Sim) -> None:
    event = Event()
    event.set()
    other = spawn(lambda: None)
    assert event.wait() is True
    assert not other.ready()


def test_waiting_ends_with_the_timeout(sim: Sim) -> None:
    began = sim.now()
    assert Event().wait(5) is False
    assert sim.now() - began == pytest.approx(5)


def test_an_event_set_by_another_native_thread_wakes(fresh: None) -> None:
    events = [Event() for _ in range(50)]
    thread = threading.Thread(target=lambda: [event.set() for event in events])
    tasks = [spawn(event.wait, 20) for event in events]
    sleep(0)
    thread.start()
    assert [task.get() for task in tasks] == [True] * 50
    thread.join(20)


def test_a_result_reaches_everybody(sim: Sim) -> None:
    result = AsyncResult()
    tasks = [spawn(result.get) for _ in range(3)]
    sleep(0)
    assert not result.ready()
    result.set(42)
    assert [task.get() for task in tasks] == [42] * 3
    assert result.successful()
    assert result.value == 42
    assert result.get_nowait() == 42
    assert result.result() == result.result(5) == result.result(timeout=0) == 42
    assert result.linkcount() == 0


def test_an_exception_reaches_everybody_with_its_own_traceback(sim: Sim) -> None:
    result = AsyncResult()
    result.set_exception(KeyError("lost"))
    depths = []
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            result.get()
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1
    assert not result.successful()
    assert result.exc_info[0] is KeyError


def test_getting_what_is_not_there_raises_timeout(sim: Sim) -> None:
    with pytest.raises(Timeout):
        AsyncResult().get(block=False)
    with pytest.raises(Timeout):
        AsyncResult().get(timeout=3)
    assert AsyncResult().wait(timeout=3) is None


def test_a_result_takes_over_how_a_task_ended(sim: Sim) -> None:
    good, bad = AsyncResult(), AsyncResult()
    spawn(lambda: "fine").link(good)
    failing = spawn(lambda: {}["missing"])
    failing.link(bad)
    assert good.get() == "fine"
    with pytest.raises(KeyError):
        bad.get()


def test_links_are_called_by_the_hub_once_it_is_set(sim: Sim) -> None:
    result, called = AsyncResult(), []
    result.rawlink(called.append)
    result.rawlink(print)
    result.unlink(print)
    result.set(1)
    assert called == []
    sleep(0)
    assert called == [result]
    result.rawlink(called.append)
    sleep(0)
    assert called == [result, result]


def test_a_link_is_told_once_in_the_hub(sim: Sim) -> None:
    event, told = Event(), []

    def tell(source: object) -> None:
        told.append((source, fibril.getcurrent() is fibril.get_hub()))

    event.rawlink(tell)
    event.set()
    assert told == []  # not in the middle of set()
    fibril.sleep(0)
    assert told == [(event, True)]
    event.set()
    fibril.sleep(0)
    assert len(told) == 1
    event.rawlink(tell)  # it is set
    fibril.sleep(0)
    assert len(told) == 2


def test_a_link_that_was_taken_back_is_not_told(sim: Sim) -> None:
    event, told = Event(), []
    event.rawlink(told.append)
    event.unlink(told.append)
    event.unlink(told.append)
    event.set()
    fibril.sleep(0)
    assert told == []
    with pytest.raises(TypeError, match="not callable"):
        event.rawlink(1)  # type: ignore[arg-type]  # refused


def test_a_link_that_makes_a_cycle_is_collected(sim: Sim) -> None:
    class Watcher:
        def __init__(self) -> None:
            self.event = Event()
            self.event.rawlink(self.note)

        def note(self, event: object) -> None:
            raise AssertionError("nobody sets it")

    held = weakref.ref(Watcher())
    gc.collect()
    assert held() is None


def test_unlink_survives_an_equality_that_empties_the_list(sim: Sim) -> None:
    event = Event()

    class Odd:
        def __eq__(self, other: object) -> bool:
            event.set()
            return True

        def __call__(self, source: object) -> None:
            told.append(source)

        __hash__ = None  # type: ignore[assignment]  # it is never hashed

    told: list[object] = []
    event.rawlink(Odd())
    event.unlink(print)
    fibril.sleep(0)
    assert told == [event]


@pytest.mark.parametrize("make", [AsyncResult, Future])
def test_an_error_in_a_link_is_told_with_the_function(
    sim: Sim, make: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(source: Any) -> None:
        raise ZeroDivisionError(source is subject)

    subject = make()
    subject.rawlink(fail)
    subject.set_result(1)
    sleep(0)
    told = capsys.readouterr().err
    assert "ZeroDivisionError: True" in told
    assert f"{fail!r} failed with ZeroDivisionError" in told


# ---- links of one's own ----


class Door(AbstractLinkable):
    is_open = False

    def ready(self) -> bool:
        return self.is_open

    def open(self) -> None:
        self.is_open = True
        self._notify_links()


def test_what_cannot_be_called_cannot_be_linked(sim: Sim) -> None:
    for subject in (AsyncResult(), Door(), Event()):
        subject.unlink(None)  # type: ignore[arg-type]  # it is not there
        with pytest.raises(TypeError, match="cannot link None"):
            subject.rawlink(None)  # type: ignore[arg-type]


def test_an_object_of_ones_own_is_waited_for(sim: Sim) -> None:
    door, other = Door(), Door()
    fibril.spawn_later(1, door.open)
    assert fibril.wait([door, other], timeout=2) == [door]
    assert (door.linkcount(), other.linkcount(), sim.now()) == (0, 0, 2)
    assert fibril.wait([door]) == [door]  # it is open
    told: list[Door] = []
    other.rawlink(told.append)
    other.rawlink(told.append)
    other.unlink(told.append)
    other.open()
    other.open()
    fibril.sleep(0)
    assert told == [other]


def test_what_has_links_counts_as_such() -> None:
    linkables = [Event(), AsyncResult(), Semaphore(), BoundedSemaphore(), Door()]
    assert all(isinstance(each, AbstractLinkable) for each in linkables)
    assert not any(isinstance(each, AbstractLinkable) for each in (RLock(), 1, fibril.getcurrent()))
    with pytest.raises(TypeError, match="abstract"):
        AbstractLinkable()  # type: ignore[abstract]


def test_who_finds_a_result_set_finds_the_value(sim: Sim) -> None:
    found: list[Any] = []

    class Read(Event):
        """Another native thread reads the result as soon as it is set."""

        def set(self) -> None:
            super().set()
            found.append((result.value, result.exception))

    result: AsyncResult[int] = AsyncResult()
    result._event = Read()
    result.set(7)
    result.set_exception(error := LookupError())
    assert found == [(7, None), (None, error)]


def test_an_event_may_stand_for_threadings_in_the_child_of_a_fork(interpreter: Interpreter) -> None:
    program = """
        from fibril import monkey
        monkey.patch_all()
        import os, threading
        import fibril.event
        threading.Event = fibril.event.Event
        def work():
            main = threading.main_thread()
            pid = os.fork()
            if pid:
                os.waitpid(pid, 0)
                return
            threading.Thread(target=main.join).start()
            print("joined", flush=True)
        main = threading.current_thread()
        threading.Thread(target=work).start()
        """
    assert interpreter.out(program) == "joined\n"
