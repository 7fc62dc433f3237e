"""Tasks that join, get, kill and link to each other, against the model. test_lifecycle.py has what
becomes of their objects and stacks.
"""

from typing import Any

import pytest
from hypothesis import strategies as st

import fibril
from fibril import Timeout
from tests.model.machine import SECONDS, TIMEOUTS, Machine, Side, compare, operation
from tests.model.world import Body, Broken


def ending_of(task: Any) -> Any:
    """How it ended, on either side; None if it has not."""
    if not task.ready():
        return None
    error = task.exception if isinstance(task, fibril.Task) else task.error
    return type(task.value if error is None else error).__name__


class Family:
    def __init__(self, side: Side) -> None:
        self.side = side
        self.links: dict[tuple[int, str], Any] = {}

    def state(self) -> list[Any]:
        return [ending_of(task) for task in self.side.tasks]

    def fail(self) -> None:
        raise Broken

    def link(self, number: int, kind: str) -> None:
        """A kind of link to a task; unlink() finds it."""

        def told(task: Any) -> None:
            self.side.note((kind, self.side.tasks.index(task)))

        task = self.side.task(number)
        self.links[number, kind] = told
        self.add_link(task, kind, told)

    def add_link(self, task: Any, kind: str, told: Any) -> None:
        getattr(task, kind)(told)

    def unlink(self, number: int, kind: str) -> None:
        self.side.task(number).unlink(self.links.pop((number, kind), None))


class FibrilFamily(Family):
    def join(self, number: int, timeout: float | None) -> None:
        self.side.task(number).join(timeout)

    def get(self, number: int, block: bool, timeout: float | None) -> Any:
        try:
            return self.side.task(number).get(block, timeout)
        except Broken:
            return "Broken"

    def end(self, number: int, timeout: float | None) -> None:
        self.side.task(number).kill(timeout=timeout)

    def killall(self, block: bool, timeout: float | None) -> None:
        fibril.killall(self.side.tasks, block=block, timeout=timeout)


class ModelFamily(Family):
    def add_link(self, task: Any, kind: str, told: Any) -> None:
        task.link(told, kind)

    def join(self, number: int, timeout: float | None) -> Body:
        yield from self.side.task(number).join(timeout)

    def get(self, number: int, block: bool, timeout: float | None) -> Body:
        task = self.side.task(number)
        is_ended = (yield from task.join(timeout)) if block else task.is_ended
        if not is_ended:
            raise Timeout
        return "Broken" if task.error else task.value

    def end(self, number: int, timeout: float | None) -> Body:
        task = self.side.task(number)
        if task is self.side.world.current:
            raise fibril.GreenletExit
        task.throw(fibril.GreenletExit())
        if not (yield from task.join(timeout)):
            raise Timeout

    def killall(self, block: bool, timeout: float | None) -> Body:
        world = self.side.world
        end = None if timeout is None else world.clock + timeout
        tasks = list(self.side.tasks)
        for task in tasks:
            task.throw(fibril.GreenletExit())
        for task in tasks if block else ():
            yield from task.join(None if end is None else max(0, end - world.clock))
            if not task.is_ended:
                raise Timeout


FAMILY = st.integers(0, 6)  # those that were spawned later, too
KINDS = st.sampled_from(["rawlink", "link", "link_value", "link_exception"])
LINK = st.one_of(*[operation("link", FAMILY, KINDS)] * 3, operation("unlink", FAMILY, KINDS))
NAP = st.lists(operation("sleep", SECONDS), max_size=2)
TASKS = Machine(
    fibril=FibrilFamily,
    model=ModelFamily,
    operations=st.one_of(
        *[operation("join", FAMILY, TIMEOUTS)] * 2,
        *[operation("get", FAMILY, st.booleans(), TIMEOUTS)] * 2,
        *[operation("end", FAMILY, TIMEOUTS)] * 2,
        operation("killall", st.booleans(), TIMEOUTS),
        *[operation("sleep", SECONDS)] * 2,
        operation("fail"),
        LINK,
    ),
    instant=st.one_of(
        *[LINK] * 3,
        operation("get", FAMILY, False, None),
        *[operation("spawn_later", SECONDS, NAP, st.booleans())] * 4,
    ),
    state=Family.state,
)


@pytest.mark.fibril_unseen_ok("not each failure is asked about")
def test_tasks_do_what_the_model_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)  # where tasks that failed are reported
    compare(TASKS)
