"""sys.monitoring (3.12 and later): one tool for all threads, so for all fibers.

What is expected here is what greenlet 3.5.6 does: replace the import of Fiber and getcurrent by
greenlet's, and the tests pass as they are.
"""

import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pytest

from fibril import Fiber, getcurrent

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")

monitoring: Any = getattr(sys, "monitoring", None)
TOOL = 4


class Tool:
    """Notes the events of functions in this file."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def watch(self, *names: str) -> int:
        """Have these events noted; returns the set of them."""
        events = 0
        for name in names:
            event = getattr(monitoring.events, name)
            monitoring.register_callback(TOOL, event, self._note(name))
            events |= event
        return events

    def _note(self, name: str) -> Callable[..., None]:
        def note(code: CodeType, place: int, *_: object) -> None:
            if code.co_filename == __file__ and code.co_name not in ("note", "watch", "tool"):
                line = f"+{place - code.co_firstlineno}" if name == "LINE" else ""
                self.seen.append(f"{name} {code.co_name}{line}")

        return note


@pytest.fixture
def tool() -> Iterator[Tool]:
    monitoring.use_tool_id(TOOL, "fibril's tests")
    yield Tool()
    monitoring.set_events(TOOL, 0)
    for name in ("PY_START", "PY_RETURN", "PY_UNWIND", "PY_THROW", "LINE", "CALL"):
        monitoring.register_callback(TOOL, getattr(monitoring.events, name), None)
    monitoring.free_tool_id(TOOL)


def test_starts_lines_and_returns_are_seen_on_both_sides_of_a_switch(tool: Tool) -> None:
    main = getcurrent()

    def work(value: int) -> int:
        value = main.switch(value)
        return -value

    def drive() -> int:
        fiber = Fiber(work)
        fiber.switch(1)
        return fiber.switch(2)

    events = tool.watch("PY_START", "PY_RETURN", "LINE")
    monitoring.set_events(TOOL, events)
    drive()
    monitoring.set_events(TOOL, 0)
    assert [each for each in tool.seen if "test_" not in each] == [
        "PY_START drive", "LINE drive+1", "LINE drive+2",
        "PY_START work", "LINE work+1",
        "LINE drive+3",
        "LINE work+2", "PY_RETURN work",
        "PY_RETURN drive",
    ]  # fmt: skip


def test_a_thrown_exception_unwinds_the_fiber_it_was_thrown_into(tool: Tool) -> None:
    main = getcurrent()

    def work() -> None:
        main.switch()

    fiber = Fiber(work)
    monitoring.set_events(TOOL, tool.watch("PY_UNWIND"))
    fiber.switch()
    with pytest.raises(KeyError):
        fiber.throw(KeyError)
    monitoring.set_events(TOOL, 0)
    assert "PY_UNWIND work" in tool.seen


def test_events_for_one_code_object_reach_a_fiber_that_is_parked_inside_it(tool: Tool) -> None:
    main = getcurrent()

    def work() -> int:
        main.switch()
        number = 1
        return -number

    fiber = Fiber(work)
    fiber.switch()
    monitoring.set_local_events(TOOL, work.__code__, tool.watch("LINE", "PY_RETURN"))
    fiber.switch()
    monitoring.set_local_events(TOOL, work.__code__, 0)
    assert tool.seen == ["LINE work+2", "LINE work+3", "PY_RETURN work"]


def test_events_for_all_code_reach_what_a_parked_fiber_calls_next(tool: Tool) -> None:
    """Not the function that it is in the middle of: see test_trace.py."""
    main = getcurrent()

    def leaf() -> None:
        pass

    def work() -> None:
        main.switch()
        leaf()

    fiber = Fiber(work)
    fiber.switch()
    monitoring.set_events(TOOL, tool.watch("PY_START", "PY_RETURN"))
    fiber.switch()
    monitoring.set_events(TOOL, 0)
    assert [each for each in tool.seen if "leaf" in each or "work" in each] == [
        "PY_START leaf",
        "PY_RETURN leaf",
    ]


def test_code_that_another_fiber_made_traceable_goes_on_in_a_parked_one(tool: Tool) -> None:
    main = getcurrent()

    def work(name: str) -> str:
        main.switch()
        return name

    parked, other = Fiber(work), Fiber(work)
    parked.switch("parked")
    monitoring.set_events(TOOL, tool.watch("LINE", "PY_RETURN"))
    other.switch("other")
    assert parked.switch() == "parked"
    assert other.switch() == "other"
    monitoring.set_events(TOOL, 0)
    assert [each for each in tool.seen if "work" in each] == [
        "LINE work+1",
        "LINE work+2",
        "PY_RETURN work",
        "LINE work+2",
        "PY_RETURN work",
    ]


def test_a_fiber_entered_from_a_callback_is_not_monitored(tool: Tool) -> None:
    main = getcurrent()
    starts: list[str] = []

    def leaf() -> None:
        pass

    def work() -> None:
        leaf()
        main.switch()
        leaf()

    def trigger() -> None:
        pass

    def start(code: CodeType, _: int) -> None:
        starts.append(code.co_name)
        if code is trigger.__code__:
            fiber.switch()

    fiber = Fiber(work)
    monitoring.register_callback(TOOL, monitoring.events.PY_START, start)
    monitoring.set_events(TOOL, monitoring.events.PY_START)
    trigger()
    leaf()
    fiber.switch()
    monitoring.set_events(TOOL, 0)
    assert [name for name in starts if name in ("work", "leaf", "trigger")] == (
        ["trigger", "leaf", "leaf"]
    )
