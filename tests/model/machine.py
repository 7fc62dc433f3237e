"""Random programs of tasks that use one primitive, run by fibril and by the model: what happens
must be the same, to the order of each wake-up. FIBRIL_EXAMPLES=n: so many programs of each kind
instead of 200; with it they are drawn anew each time: `FIBRIL_EXAMPLES=10000 make test K=model`.

A program is a list of steps of the main fiber: it spawns a task with a script of its own, kills
one, sleeps, or uses the primitive. At the end it kills who is left, as often as need be. A step or
an operation is a tuple: a name and arguments. The name is one of the verbs of a Side, or a method
of the machine's subject, of which each side has its own: the primitive, or its model. What each
operation returned or raised, in which task, when, and in which state it left the subject, is the
trace.

Each program runs in a native thread of its own, on the simulated clock, and leaves nobody parked.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from inspect import isgenerator
from itertools import chain
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fibril
from fibril import GreenletExit, Timeout, get_hub
from fibril.testing import SimClock
from tests.conftest import run_in_thread
from tests.model.world import Body, World
from tests.model.world import Task as ModelTask

EXAMPLES = os.environ.get("FIBRIL_EXAMPLES", "")
CAUGHT = (Exception, GreenletExit, Timeout)
LONG_S = 1000  # longer than all timeouts of a program together

Operation = tuple[Any, ...]
Script = list[Operation]
Trace = list[tuple[Any, ...]]


class Machine(NamedTuple):
    """A primitive on both sides, and what a program may do with it."""

    fibril: Callable[["Side"], Any]
    model: Callable[["Side"], Any]
    operations: st.SearchStrategy[Operation]  # in tasks
    instant: st.SearchStrategy[Operation]  # in the main fiber: those that never wait
    state: Callable[[Any], Any] = lambda subject: None  # what can be seen of the subject
    check: Callable[[Any, Trace], None] = lambda subject, trace: None  # laws, by fibril's trace


class Side:
    """One of the two: who runs the scripts, and what happened. The subject may call back here."""

    subject: Any

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.trace: Trace = []
        self.tasks: list[Any] = []

    def now(self) -> float:
        raise NotImplementedError

    def me(self) -> int:
        """The number of the current task; -1: the main fiber, or a callback."""
        raise NotImplementedError

    def note(self, what: Any, outcome: Any = None) -> None:
        state = self.machine.state(self.subject)
        self.trace.append((self.now(), self.me(), what, outcome, state))

    def task(self, number: int) -> Any:
        """A task that there is: the number counts round."""
        return self.tasks[number % len(self.tasks)]

    def method(self, operation: Operation) -> Any:
        name, *arguments = operation
        owner = self if name in ("sleep", "spin", "kill", "spawn", "spawn_later") else self.subject
        return getattr(owner, name)(*arguments)

    def kill(self, number: int) -> None:
        if self.tasks:
            self.kill_one(self.task(number))

    def kill_one(self, task: Any) -> None:
        raise NotImplementedError

    def living(self) -> list[Any]:
        return [task for task in self.tasks if not task.ready()]


def name_of(value: Any) -> Any:
    return type(value).__name__ if isinstance(value, BaseException) else value


class Fibril(Side):
    """fibril: calls block."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.subject = machine.fibril(self)

    def now(self) -> float:
        return SimClock.current().now()

    def me(self) -> int:
        return getattr(fibril.getcurrent(), "number", -1)

    def sleep(self, seconds: float) -> None:
        fibril.sleep(seconds)

    def spin(self, times: int) -> None:
        """Give way so many times: the hub looks at its timers only now and then."""
        for _ in range(times):
            fibril.sleep(0)

    def spawn(self, script: Script, is_stubborn: bool) -> None:
        self.enlist(fibril.spawn(self.live, script, is_stubborn))

    def spawn_later(self, seconds: float, script: Script, is_stubborn: bool) -> None:
        self.enlist(fibril.spawn_later(seconds, self.live, script, is_stubborn))

    def enlist(self, task: fibril.Task) -> None:
        task.number = len(self.tasks)  # type: ignore[attr-defined]
        self.tasks.append(task)

    def kill_one(self, task: fibril.Task) -> None:
        task.kill(block=False)

    def live(self, script: Script, is_stubborn: bool) -> str:
        """Do what the script says; who is stubborn goes on when killed."""
        for operation in script:
            if self.attempt(operation) == "GreenletExit" and not is_stubborn:
                raise GreenletExit
        return "done"

    def attempt(self, operation: Operation) -> Any:
        try:
            outcome = name_of(self.method(operation))
        except CAUGHT as error:
            outcome = name_of(error)
        self.note(operation, outcome)
        return outcome

    def run_all(self, script: Script) -> None:
        """Do what the script says until something is raised, which goes on from here."""
        for operation in script:
            self.note(operation, name_of(self.method(operation)))

    def run(self, script: Script) -> None:
        for operation in script:
            self.attempt(operation)
        self.sleep(LONG_S)
        while living := self.living():
            for task in living:
                self.kill_one(task)
            self.sleep(LONG_S)


class Model(Side):
    """The model: the same lines, but what may wait is a generator."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.world = World()
        self.numbers: dict[ModelTask, int] = {}
        self.subject = machine.model(self)

    def now(self) -> float:
        return self.world.clock

    def me(self) -> int:
        return self.numbers.get(self.world.current, -1)

    def sleep(self, seconds: float) -> Body:
        return self.world.sleep(seconds)

    def spin(self, times: int) -> Body:
        for _ in range(times):
            yield from self.world.sleep(0)

    def spawn(self, script: Script, is_stubborn: bool) -> None:
        self.enlist(script, is_stubborn).start()

    def spawn_later(self, seconds: float, script: Script, is_stubborn: bool) -> None:
        self.enlist(script, is_stubborn).start_later(seconds)

    def enlist(self, script: Script, is_stubborn: bool) -> ModelTask:
        task = ModelTask(self.world, self.live(script, is_stubborn))
        self.numbers[task] = len(self.tasks)
        self.tasks.append(task)
        return task

    def kill_one(self, task: ModelTask) -> None:
        task.throw(GreenletExit())

    def live(self, script: Script, is_stubborn: bool) -> Body:
        for operation in script:
            if (yield from self.attempt(operation)) == "GreenletExit" and not is_stubborn:
                raise GreenletExit
        return "done"

    def call(self, operation: Operation) -> Body:
        done = self.method(operation)
        return (yield from done) if isgenerator(done) else done

    def attempt(self, operation: Operation) -> Body:
        try:
            outcome = name_of((yield from self.call(operation)))
        except CAUGHT as error:
            outcome = name_of(error)
        self.note(operation, outcome)
        return outcome

    def run_all(self, script: Script) -> Body:
        for operation in script:
            self.note(operation, name_of((yield from self.call(operation))))

    def run(self, script: Script) -> Body:
        for operation in script:
            yield from self.attempt(operation)
        yield from self.sleep(LONG_S)
        while living := self.living():
            for task in living:
                self.kill_one(task)
            yield from self.sleep(LONG_S)


# ---- programs ----

SECONDS = st.sampled_from([0, 1, 2, 3, 5])
TIMEOUTS = st.sampled_from([None, None, None, None, 0, 1, 2, 4])
NUMBERS = st.integers(0, 4)


def operation(name: str, *arguments: Any) -> st.SearchStrategy[Operation]:
    """(name, …): an argument is a strategy, or it is always the same."""
    drawn = [a if isinstance(a, st.SearchStrategy) else st.just(a) for a in arguments]
    return st.tuples(st.just(name), *drawn)


def joined(parts: Iterable[Script]) -> Script:
    return list(chain.from_iterable(parts))


def programs(machine: Machine) -> st.SearchStrategy[Script]:
    """A crowd of tasks, and then what happens to them. A third of that is what may wake some, and
    at once kills, which come to tasks that were woken but have not run."""
    sleeps = operation("sleep", SECONDS)
    kills = operation("kill", NUMBERS)
    do = st.one_of(*[machine.operations] * 4, sleeps, kills)
    script = st.lists(do, min_size=1, max_size=4)
    spawns = operation("spawn", script, st.booleans())
    later = operation("spawn_later", st.integers(0, 3), script, st.booleans())
    single = st.one_of(spawns, sleeps, kills, machine.instant).map(lambda step: [step])
    some = st.lists(machine.instant, min_size=1, max_size=3)
    strike = st.tuples(some, st.lists(kills, min_size=1, max_size=3)).map(joined)
    crowd = st.lists(st.one_of(spawns, spawns, later), min_size=3, max_size=5)
    steps = st.lists(st.one_of(single, single, strike), min_size=6, max_size=16)
    return st.tuples(crowd, steps.map(joined)).map(joined)


def run_on_fibril(machine: Machine, program: Script) -> Fibril:
    """Run it in a fresh world, which must be empty again at the end."""
    sides: list[Fibril] = []

    def run() -> None:
        side = Fibril(machine)
        sides.append(side)
        side.run(program)
        assert get_hub().parked() == []
        assert get_hub().statistics()["stacks_live"] <= 1  # the hub's own

    run_in_thread(run, is_sim=True)
    return sides[0]


def run_on_model(machine: Machine, program: Script) -> Model:
    side = Model(machine)
    side.world.run(side.run(program))
    return side


def first_difference(ours: Trace, models: Trace) -> str:
    """Where the two differ, with what came before; empty if they do not."""
    for place in range(max(len(ours), len(models))):
        left, right = ours[place : place + 1], models[place : place + 1]
        if left != right:
            before = "\n".join(f"      {entry}" for entry in ours[max(0, place - 15) : place])
            return f"\n{before}\nfibril  {left}\nmodel {right}"
    return ""


def settled(check: Callable[..., None]) -> Callable[..., None]:
    """hypothesis's settings for a test of ours: few programs, always the same, or many others."""
    return settings(
        max_examples=int(EXAMPLES or 200),
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(check)


def compare(machine: Machine) -> None:
    """Draw programs, and run each on both sides."""

    @settled
    @given(programs(machine))
    def check(program: Script) -> None:
        model = run_on_model(machine, program)
        ours = run_on_fibril(machine, program)
        difference = first_difference(ours.trace, model.trace)
        assert not difference, difference
        machine.check(ours.subject, ours.trace)

    check()


def outcomes(trace: Trace, *names: str) -> Iterator[tuple[Operation, Any]]:
    """What operations of these names came to, in order."""
    for _, _, done, outcome, _ in trace:
        if done[0] in names:
            yield done, outcome
