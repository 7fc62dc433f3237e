"""ThreadResult: a native thread's outcome reaches its receiver in the hub's thread, once."""

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril import native
from fibril.event import AsyncResult
from fibril.threadpool import ThreadResult


class Receiver:
    """Remembers what it was told, and where."""

    def __init__(self) -> None:
        self.heard = AsyncResult()
        self.told: list[tuple[Any, BaseException | None, bool]] = []

    def __call__(self, result: ThreadResult) -> None:
        self.told.append((result.value, result.exception, native.get_ident() == HERE))
        self.heard.set(True)


HERE = native.get_ident()


def in_a_native_thread(call: Callable[[], object]) -> None:
    native.start_new_thread(call, ())


def failure() -> Any:
    try:
        raise LookupError("nothing there")
    except LookupError:
        return sys.exc_info()


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    heard: list[Any] = []
    monkeypatch.setattr(
        fibril.get_hub(), "handle_error", lambda *details: heard.append(details), raising=False
    )
    return heard


def test_a_value_is_received_in_the_thread_of_the_hub() -> None:
    receiver, steps = Receiver(), []
    result = ThreadResult(receiver, fibril.get_hub(), lambda: steps.append(len(receiver.told)))
    in_a_native_thread(lambda: result.set(7))
    receiver.heard.get(timeout=20)
    assert receiver.told == [(7, None, True)]
    assert steps == [0], "call_when_ready was not called once, before the receiver"
    assert result.successful()


def test_an_exception_is_reported_and_received(reports: list[Any]) -> None:
    receiver, info = Receiver(), failure()
    result = ThreadResult(receiver, fibril.get_hub(), lambda: None)
    in_a_native_thread(lambda: result.handle_error("here", info))
    receiver.heard.get(timeout=20)
    assert receiver.told == [(None, info[1], True)]
    assert reports == [("here", *info)]
    assert not result.successful()
    assert result.exc_info == (LookupError, info[1], None), "the traceback was kept"


def test_it_is_a_link_source_for_an_async_result(reports: list[Any]) -> None:
    answer = AsyncResult()
    result = ThreadResult(answer, fibril.get_hub(), lambda: None)
    in_a_native_thread(lambda: result.handle_error(None, failure()))
    with pytest.raises(LookupError, match="nothing there"):
        answer.get(timeout=20)
    assert len(reports) == 1


def test_what_call_when_ready_raises_keeps_nobody_from_the_outcome(reports: list[Any]) -> None:
    receiver = Receiver()
    result = ThreadResult(receiver, fibril.get_hub(), lambda: 1 // 0)
    in_a_native_thread(lambda: result.set(7))
    receiver.heard.get(timeout=20)
    assert receiver.told == [(7, None, True)]
    assert [kind for _, kind, *_ in reports] == [ZeroDivisionError]


def test_the_first_outcome_counts(reports: list[Any]) -> None:
    receiver = Receiver()
    result = ThreadResult(receiver, fibril.get_hub(), lambda: None)
    result.set(1)
    result.set(2)
    result.handle_error(None, failure())
    receiver.heard.get(timeout=20)
    fibril.sleep(0)
    result.set(3)
    fibril.sleep(0)
    assert receiver.told == [(1, None, True)]
    assert reports == []


def test_who_destroyed_it_hears_nothing() -> None:
    receiver = Receiver()
    result = ThreadResult(receiver, fibril.get_hub(), lambda: None)
    result.destroy_in_main_thread()
    result.set(1)
    fibril.sleep(0)
    assert receiver.told == []


def test_destroying_it_between_outcome_and_delivery_is_in_time() -> None:
    receiver = Receiver()
    result = ThreadResult(receiver, fibril.get_hub(), lambda: None)
    result.set(1)
    result.destroy_in_main_thread()
    fibril.sleep(0)
    assert receiver.told == []


def test_destroying_it_amid_the_outcome_is_no_error() -> None:
    slot = vars(ThreadResult)["_watcher"]

    class Raced(ThreadResult):
        """The hub's thread destroys it as soon as the native thread has read the watcher."""

        __slots__ = ("may_be_destroyed",)

        @property
        def _watcher(self) -> Any:
            watcher = slot.__get__(self)
            if getattr(self, "may_be_destroyed", False):
                self.may_be_destroyed = False
                self.destroy_in_main_thread()
            return watcher

        @_watcher.setter
        def _watcher(self, watcher: Any) -> None:
            slot.__set__(self, watcher)

    receiver = Receiver()
    result = Raced(receiver, fibril.get_hub(), lambda: None)
    result.may_be_destroyed = True
    result.set(7)
    fibril.sleep(0)
    assert receiver.told == []


def test_nothing_is_kept_afterwards() -> None:
    class Value:
        pass

    receiver, value = Receiver(), Value()
    gone = weakref.ref(value)
    result = ThreadResult(lambda _: receiver.heard.set(True), fibril.get_hub(), lambda: None)
    result.set(value)
    del value
    receiver.heard.get(timeout=20)
    gc.collect()
    assert gone() is None
    assert result.hub is None


def test_without_a_receiver_the_hub_is_told_of_what_went_wrong() -> None:
    told: list[str] = []
    result = ThreadResult(None, fibril.get_hub(), lambda: told.append("ready"))
    result.set(7)
    fibril.sleep(0)
    assert told == ["ready"]
    assert result.value is None
