"""The whole life of tasks and fibers: {how it ends} x {who watches}, each cell with its outcome.

A cell is a body that parks once or twice, somebody who watches it (or nobody), and something that
brings it to its end. Then: what did the body do, what was the watcher told, and is everything gone,
the object, what it held, and its stack?
"""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from fibril import Fiber, GreenletExit, Task, get_hub, getcurrent, sleep, spawn
from fibril.event import Event
from tests.conftest import Interpreter


class Failure(Exception):
    pass


class Canary:
    """What the body holds."""


class Cell:
    """One life: what happened in it, and the only lasting references to who lives it."""

    def __init__(self) -> None:
        self.steps: list[str] = []  # what the body did
        self.told: list[str] = []  # what who watches was told
        self.references: list[weakref.ref[Any]] = []
        self.gate: Event | None = Event()  # what the body is parked on; None: a switch by hand
        self.fiber: Any = None
        self.main = getcurrent()


def outcome_of(task: Task) -> str:
    if not task.ready():
        return "pending"
    result = task.value if task.successful() else task.exception
    return type(result).__name__ if isinstance(result, BaseException) else str(result)


# ---- bodies ----


def park(cell: Cell) -> None:
    gate = cell.gate
    if gate is None:
        cell.main.switch("parked")
    else:
        del cell
        gate.wait()


def live(cell: Cell, raises: bool = False) -> str:
    canary = Canary()
    cell.references.append(weakref.ref(canary))
    cell.steps.append("begun")
    try:
        park(cell)
    finally:
        cell.steps.append("finally")
    if raises:
        raise Failure
    return "result"


def live_through_one_kill(cell: Cell) -> str:
    cell.steps.append("begun")
    try:
        park(cell)
    except GreenletExit:
        cell.steps.append("survived")
    try:
        park(cell)
    finally:
        cell.steps.append("finally")
    return "result"


# ---- watchers of a task ----


def joined(cell: Cell) -> None:
    def join(task: Task, told: list[str]) -> None:
        try:
            task.join()
            told.append(outcome_of(task))
        except GreenletExit:
            told.append("joiner unwound")
            raise

    spawn(join, cell.fiber, cell.told)


def linked(cell: Cell) -> None:
    told = cell.told
    cell.fiber.link(lambda task: told.append(outcome_of(task)))


def dropped(cell: Cell) -> None:
    pass


# ---- ends ----


class End(NamedTuple):
    """How a life is brought to its end, and what must come of it."""

    bring: Callable[[Cell], None]
    steps: list[str]
    outcome: str
    body: Callable[..., str] = live
    arguments: tuple[Any, ...] = ()
    is_begun: bool = True


def let_go(cell: Cell) -> None:
    """The cell, what the body is parked on and whom it is told by are all that know it."""
    cell.gate = None
    cell.fiber = None


def finish(cell: Cell) -> None:
    if cell.gate is not None:
        cell.gate.set()
    else:
        cell.fiber.switch()


def kill(cell: Cell) -> None:
    if isinstance(cell.fiber, Task):
        cell.fiber.kill(block=False)
    else:
        cell.fiber.throw()


def kill_twice(cell: Cell) -> None:
    kill(cell)
    kill(cell)


@contextmanager
def no_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def collect(cell: Cell) -> None:
    cell.fiber.me = cell.fiber
    with no_collection():
        let_go(cell)
        assert cell.steps == ["begun"]
    gc.collect()


def drop_in_another_thread(cell: Cell) -> None:
    def drop() -> None:
        let_go(cell)
        gc.collect()  # a task is known to what it waits for

    with no_collection():
        thread = threading.Thread(target=drop)
        thread.start()
        while thread.is_alive():
            thread.join(0.001)
        assert cell.steps == ["begun"]
    getcurrent()


BEGUN = ["begun", "finally"]
ENDS = {
    "finishes": End(finish, BEGUN, "result"),
    "raises": End(finish, BEGUN, "Failure", arguments=(True,)),
    "killed before start": End(kill, [], "GreenletExit", is_begun=False),
    "killed while parked": End(kill, BEGUN, "GreenletExit"),
    "killed twice": End(
        kill_twice, ["begun", "survived", "finally"], "GreenletExit", live_through_one_kill
    ),
    "collected": End(collect, BEGUN, "GreenletExit"),
    "dropped by another thread": End(drop_in_another_thread, BEGUN, "GreenletExit"),
}
UNREACHABLE = ["collected", "dropped by another thread"]  # who waits would have a reference
WATCHERS = [joined, linked, dropped]


# ---- the product ----


def begin_task(cell: Cell, end: End, watch: Callable[[Cell], None]) -> None:
    cell.fiber = Task.spawn(end.body, cell, *end.arguments)
    cell.references.append(weakref.ref(cell.fiber))
    if end.is_begun:
        sleep(0)
        assert cell.steps == ["begun"]
    watch(cell)
    if watch is joined and end.is_begun:
        sleep(0)


def settle() -> None:
    for _ in range(3):
        gc.collect()
        sleep(0)


def stacks() -> int:
    return get_hub().statistics()["stacks_live"]


def assert_all_gone(cell: Cell, stack_count: int) -> None:
    let_go(cell)
    settle()
    assert [reference() for reference in cell.references] == [None] * len(cell.references)
    assert stacks() == stack_count


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)  # where tasks that failed are reported


@pytest.mark.parametrize("watch", WATCHERS)
@pytest.mark.parametrize("how", ENDS)
@pytest.mark.fibril_unseen_ok("one that nobody watches may fail")
def test_a_task(how: str, watch: Callable[[Cell], None], fresh: None) -> None:
    get_hub().call_soon(int)  # from now on its fiber has a stack
    settle()
    stack_count = stacks()
    cell, end = Cell(), ENDS[how]
    begin_task(cell, end, watch)
    end.bring(cell)
    settle()
    assert cell.steps == end.steps
    # A joiner of garbage is garbage as well, unless it is told before it is unwound itself.
    outcomes = {joined: [[end.outcome]], linked: [[end.outcome]], dropped: [[]]}[watch]
    if watch is joined and how in UNREACHABLE:
        outcomes = [["joiner unwound"], [end.outcome]]
    assert cell.told in outcomes
    assert_all_gone(cell, stack_count)


def begin_fiber(cell: Cell, end: End) -> None:
    cell.gate = None
    cell.fiber = Fiber(end.body)
    cell.references.append(weakref.ref(cell.fiber))
    if end.is_begun:
        assert cell.fiber.switch(cell, *end.arguments) == "parked"
        assert cell.steps == ["begun"]


def outcome_in_parent(cell: Cell, end: End) -> str:
    """What comes to the parent of a fiber that is brought to its end there."""
    try:
        if end.bring is finish:
            value = cell.fiber.switch()
        elif end.bring is kill_twice:
            assert cell.fiber.throw() == "parked"
            value = cell.fiber.throw()
        else:
            value = cell.fiber.throw()
    except Failure:
        return "Failure"
    return type(value).__name__ if isinstance(value, BaseException) else str(value)


@pytest.mark.parametrize("how", [how for how in ENDS if how not in UNREACHABLE])
def test_a_fiber_whose_parent_waits(how: str, fresh: None) -> None:
    stack_count = stacks()
    cell, end = Cell(), ENDS[how]
    begin_fiber(cell, end)
    assert outcome_in_parent(cell, end) == end.outcome
    assert cell.steps == end.steps
    assert cell.fiber.dead
    assert_all_gone(cell, stack_count)


@pytest.mark.parametrize("how", UNREACHABLE)
def test_a_fiber_that_nobody_waits_for(how: str, fresh: None) -> None:
    stack_count = stacks()
    cell, end = Cell(), ENDS[how]
    begin_fiber(cell, end)
    end.bring(cell)
    assert cell.steps == end.steps
    assert_all_gone(cell, stack_count)


# ---- the ends that take a thread, or the interpreter, along ----

AT_EXIT = """
    import sys
    import fibril
    from fibril.event import Event

    def live(event):
        print("begun")
        try:
            event.wait()
        finally:
            print("finally")

    def outcome(task):
        print("told", type(task.value).__name__)

    def join(task):
        try:
            task.join()
            outcome(task)
        except fibril.GreenletExit:
            print("joiner unwound")

    task = fibril.spawn(live, Event())
    if sys.argv[1:] == ["joined"]:
        fibril.spawn(join, task)
    elif sys.argv[1:] == ["linked"]:
        task.link(outcome)
    fibril.sleep(0)
    if sys.argv[1:] == ["dropped"]:
        del task
    """


@pytest.mark.parametrize(
    ("watch", "told"),
    [
        ("joined", [["joiner unwound"], ["told GreenletExit"]]),
        ("linked", [["told GreenletExit"]]),
        ("dropped", [[]]),
    ],
)
@pytest.mark.parametrize("where", ["main thread", "native thread"])
def test_a_task_at_exit(
    where: str, watch: str, told: list[list[str]], interpreter: Interpreter
) -> None:
    program = AT_EXIT.replace("sys.argv[1:]", f"['{watch}']")
    if where == "native thread":
        lines = program.replace("\n    ", "\n        ")
        program = (
            f"    def run():{lines}\n    import threading\n"
            "    thread = threading.Thread(target=run)\n    thread.start()\n    thread.join()\n"
        )
    out = interpreter.out(program).splitlines()
    assert out[:2] == ["begun", "finally"] or sorted(out[:2]) == ["begun", "joiner unwound"]
    rest = [line for line in out if line not in ("begun", "finally")]
    assert rest in told
    assert out.count("finally") == 1
