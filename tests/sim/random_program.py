"""A program of random steps in the simulated world: `python random_program.py SEED STEPS`.

Fibers and tasks make, switch to, throw into, kill, join, drop and re-parent each other, wait in
everything there is, and run code in destructors, links, callbacks, sort keys and handlers; with the
same seed it does the same. What a step raises does not matter: it must not crash, and at the end
the hub must still work. It prints "alive SEED".
"""

import gc
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import fibril
from fibril import Fiber, GreenletExit, Task, Timeout, get_hub, getcurrent, kill, sleep, spawn
from fibril.event import AsyncResult, Event
from fibril.lock import RLock, Semaphore
from fibril.queue import Queue


class Failure(Exception):
    pass


KINDS: list[type[BaseException]] = [Failure, GreenletExit, Timeout, KeyError]
random_ = random.Random(int(sys.argv[1]))
chance, choice = random_.random, random_.choice
steps_left = int(sys.argv[2])
variable: ContextVar[Any] = ContextVar("variable")
fibers: list[Fiber] = []
events = [Event() for _ in range(3)]
queues = [Queue(), Queue(1), Queue(3)]
gates = [Semaphore(0), Semaphore(1), Semaphore(3)]
locks = [RLock(), RLock()]
results = [AsyncResult() for _ in range(3)]


class Acting:
    """Takes a step when it is destroyed."""

    def __del__(self) -> None:
        if chance() < 0.3:
            step()


class ActingFiber(Fiber):
    def __del__(self) -> None:
        if chance() < 0.2:
            step()


class OwnTask(Task):
    pass


def step() -> Any:
    global steps_left
    steps_left -= 1
    if steps_left > 0:
        with suppress(Exception, Timeout):
            choice(STEPS)()


def generate() -> Iterator[Any]:
    me = [getcurrent()]
    try:
        for _ in range(3):
            yield me
    finally:
        if chance() < 0.3:
            step()


def step_somehow() -> None:
    way = chance()
    if way < 0.2:
        try:
            raise Failure(getcurrent())
        except Failure:
            step()
    elif way < 0.4:
        sorted([2, 1], key=lambda _: step() or 0)
    elif way < 0.5:
        for _ in generate():
            step()
    else:
        step()


def live(*_: Any) -> Any:
    kept = [getcurrent() if chance() < 0.5 else None, Acting() if chance() < 0.2 else None]
    try:
        for _ in range(random_.randrange(1, 12)):
            step_somehow()
    except GreenletExit:
        if chance() < 0.1:
            step()
        raise
    finally:
        if chance() < 0.3:
            step()
    if chance() < 0.1:
        raise choice(KINDS)
    return kept if chance() < 0.2 else 1


def a_fiber() -> Fiber:
    return choice(fibers) if fibers else getcurrent()


def make_fiber() -> None:
    fiber = choice([Fiber, Fiber, ActingFiber])(live)
    if chance() < 0.3:
        with suppress(ValueError, AttributeError):
            fiber.parent = a_fiber()
    fibers.append(fiber)


def make_task() -> None:
    way = chance()
    if way < 0.6:
        task = spawn(live, Acting() if chance() < 0.1 else 1)
    elif way < 0.8:
        task = fibril.spawn_later(chance() * 2, live)
    else:
        task = choice([Task, OwnTask])(live)
        if chance() < 0.5:
            task.start()
    fibers.append(task)
    if chance() < 0.3:
        task.rawlink(lambda _: step())
    if chance() < 0.2:
        task.link(lambda _: step())


def switch() -> None:
    a_fiber().switch(*range(random_.randrange(3)))


def throw() -> None:
    a_fiber().throw(choice(KINDS))


def kill_one() -> None:
    fiber = a_fiber()
    if isinstance(fiber, Task):
        fiber.kill(choice(KINDS), block=chance() < 0.3, timeout=choice([None, 0.5]))
    else:
        kill(fiber, choice(KINDS))


def drop() -> None:
    if fibers:
        fibers.pop(random_.randrange(len(fibers)))
    if chance() < 0.05:
        fibers.clear()


def join() -> None:
    fiber = a_fiber()
    if isinstance(fiber, Task):
        choice([fiber.join, fiber.get])(timeout=choice([None, 0.1, 1]))


def wait_for_event() -> None:
    event = choice(events)
    choice([event.set, event.clear, lambda: event.wait(choice([None, 0.1, 1]))])()


def use_queue() -> None:
    queue = choice(queues)
    if chance() < 0.5:
        queue.put(Acting() if chance() < 0.1 else 1, timeout=choice([None, 0.1]))
    else:
        queue.get(timeout=choice([None, 0.1]))


def use_gate() -> None:
    gate = choice(gates)
    if chance() < 0.5:
        gate.release()
    elif gate.acquire(timeout=choice([None, 0.1])):
        step()
        gate.release()


def use_lock() -> None:
    with choice(locks):
        step()


def use_result() -> None:
    result = choice(results)
    choice(
        [
            lambda: result.set(1),
            lambda: result.get(timeout=0.1),
            lambda: result.set_exception(Failure()),
        ]
    )()


def time_out() -> None:
    with Timeout(choice([0, 0.1, 0.5]), choice([None, False, Failure])):
        step()


def adopt() -> None:
    a_fiber().parent = choice([a_fiber(), getcurrent(), get_hub()])


def look() -> None:
    fiber = a_fiber()
    assert [fiber.gr_frame, repr(fiber), bool(fiber), fiber.dead, get_hub().parked()]


def keep() -> None:
    a_fiber().kept = choice([a_fiber(), Acting(), fibers[:]])  # type: ignore[attr-defined]


def recurse(levels: int = 30) -> None:
    if levels:
        recurse(levels - 1)
    else:
        step()


STEPS: list[Callable[[], Any]] = [
    *[make_fiber] * 2,
    *[make_task] * 3,
    *[switch] * 3,
    throw,
    kill_one,
    *[drop] * 2,
    join,
    *[lambda: sleep(choice([0, 0, 0, 0.1, 1]))] * 2,
    wait_for_event,
    use_queue,
    use_gate,
    use_lock,
    use_result,
    time_out,
    lambda: gc.collect(random_.randrange(3)),
    adopt,
    look,
    lambda: get_hub().call_soon(step),
    keep,
    lambda: variable.set(choice([1, getcurrent(), Acting()])),
    recurse,
]


def kill_all_tasks() -> None:
    for fiber in fibers:
        if isinstance(fiber, Task):
            fiber.kill(block=False)


def main() -> None:
    fibril._core.sim_install()
    sys.stderr = None  # type: ignore[assignment]
    sys.unraisablehook = lambda _: None
    for _ in range(steps_left * 5):
        with suppress(BaseException):
            step()
    for _ in range(50):
        with suppress(BaseException):
            kill_all_tasks()
            sleep(1)
    fibers.clear()
    for _ in range(5):
        with suppress(BaseException):
            gc.collect()
            sleep(1)
    print("alive", sys.argv[1], file=sys.__stdout__)


main()
