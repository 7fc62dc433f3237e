"""What the collector is told of parked frames: never more references than there are.

Visiting a reference that is not counted makes the collector free what is in use, so each way to be
parked is checked against the counts. What is not visited is merely not collected.
"""

import functools
import gc
import operator
import sys
import types
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from fibril import Fiber, getcurrent, sleep, spawn
from fibril.event import Event
from fibril.lock import Semaphore
from tests.conftest import Sim, collect


class Box:
    """Something that can hold anything."""

    def __init__(self, **kept: Any) -> None:
        self.__dict__.update(kept)


IS_BORROWING = sys.version_info >= (3, 14)
GENERATORS = (types.GeneratorType, types.CoroutineType)


def counts(objects: list[object]) -> list[int]:
    return [sys.getrefcount(o) for o in objects]


def visited_too_often() -> list[object]:
    """Objects that all containers together claim to refer to more often than counted."""
    gc.collect()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(3600)  # pools may have native threads still, which come and go
    try:
        return _visited_too_often()
    finally:
        sys.setswitchinterval(interval)


def _visited_too_often() -> list[object]:
    everything = gc.get_objects()
    # From 3.14 on a generator shows who asks, unless it is the collector, what it has borrowed.
    containers = [o for o in everything if not (IS_BORROWING and isinstance(o, GENERATORS))]
    visits = Counter(id(o) for container in containers for o in gc.get_referents(container))
    held = counts([object()])[0]  # by the list, and by counting
    counted = zip(everything, counts(everything), strict=True)
    return [o for o, count in counted if visits[id(o)] > count - held]


# ---- ways to be parked: each switches to `main`, which comes back with 1 ----


def by_method(main: Fiber, me: Box) -> None:
    main.switch(me)


def by_bound_method(main: Fiber, me: Box) -> None:
    switch = main.switch
    switch(me)


def by_descriptor(main: Fiber, me: Box) -> None:
    switch = Fiber.switch
    switch(main, me)


def by_keyword(main: Fiber, me: Box) -> None:
    main.switch(me, kept=me)


def by_star(main: Fiber, me: Box) -> None:
    main.switch(*[me, me], kept=me)


def by_partial(main: Fiber, me: Box) -> None:
    functools.partial(main.switch)(me)


def by_partial_with_argument(main: Fiber, me: Box) -> None:
    functools.partial(main.switch, me)(me)


def by_partial_of_descriptor(main: Fiber, me: Box) -> None:
    functools.partial(Fiber.switch, main)(me)


def by_partial_of_call(main: Fiber, me: Box) -> None:
    functools.partial(operator.call, main.switch)(me)


def by_method_caller(main: Fiber, me: Box) -> None:
    operator.methodcaller("switch", me)(main)


def by_method_type(main: Fiber, me: Box) -> None:
    types.MethodType(Fiber.switch, main)(me)


def by_method_type_attribute(main: Fiber, me: Box) -> None:
    Box(park=types.MethodType(Fiber.switch, main)).park(me)


def with_borrowed_below(main: Fiber, me: Box) -> None:
    """The operands look like a method call, but a partial has borrowed the place of `self`."""
    print(me, Fiber.switch, functools.partial(main.switch, me)(me))


def in_a_sort_key(main: Fiber, me: Box) -> None:
    sorted([me, me], key=main.switch)


def in_a_python_sort_key(main: Fiber, me: Box) -> None:
    def key(kept: Box) -> Any:
        return main.switch(kept)

    sorted([me, me], key=key)


def in_a_python_call(main: Fiber, me: Box) -> None:
    def nested(*kept: Box) -> None:
        assert [me, kept, main.switch(me)]

    assert [me, nested(me, me)]


def in_a_constructor(main: Fiber, me: Box) -> None:
    class Constructed:
        def __init__(self, *kept: Box) -> None:
            assert [self, main.switch(me)]

    assert [me, Constructed(me, me)]


def in_a_property(main: Fiber, me: Box) -> None:
    class Owner:
        @property
        def attribute(self) -> Any:
            return [self, main.switch(me)]

    assert [me, Owner().attribute]


def in_an_operator(main: Fiber, me: Box) -> None:
    class Number:
        def __add__(self, other: Box) -> Any:
            return [other, main.switch(me)]

    assert [me, Number() + me]


def in_a_subscript(main: Fiber, me: Box) -> None:
    class Table:
        def __getitem__(self, other: Box) -> Any:
            return [other, main.switch(me)]

    assert [me, Table()[me]]


def in_a_loop(main: Fiber, me: Box) -> None:
    for kept in [me, me]:
        main.switch(kept)


def in_a_generator(main: Fiber, me: Box) -> None:
    def generate() -> Iterator[Any]:
        kept = Box(me=me)
        yield [kept, main.switch(me)]

    for kept in generate():
        assert [kept]


def in_a_nested_generator(main: Fiber, me: Box) -> None:
    def inner() -> Iterator[Any]:
        kept = Box(me=me)
        yield [kept, nested()]

    def nested() -> Any:
        return [me, main.switch(me)]

    def outer() -> Iterator[Any]:
        kept = Box(me=me)
        yield from inner()
        assert [kept]

    list(outer())


def in_a_coroutine(main: Fiber, me: Box) -> None:
    async def inner() -> Any:
        return [me, main.switch(me)]

    async def outer() -> Any:
        return [me, await inner()]

    with suppress(StopIteration):
        outer().send(None)


def in_a_with_statement(main: Fiber, me: Box) -> None:
    class Block:
        def __enter__(self) -> Any:
            return [self, main.switch(me)]

        def __exit__(self, *_: object) -> None:
            pass

    with Block():
        pass


def in_an_exit(main: Fiber, me: Box) -> None:
    class Block:
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *kept: object) -> None:
            assert [kept, main.switch(me)]

    with suppress(KeyError), Block():
        raise KeyError(me)


def in_a_handler(main: Fiber, me: Box) -> None:
    try:
        raise KeyError(me)
    except KeyError:
        assert [me, main.switch(me)]


def in_a_destructor_of_a_local(main: Fiber, me: Box) -> None:
    class Dying:
        def __del__(self) -> None:
            main.switch(self)

    dying: Any = Dying()
    dying = me
    assert [dying]


def in_a_destructor_of_an_operand(main: Fiber, me: Box) -> None:
    class Dying:
        def __del__(self) -> None:
            main.switch(me)

    assert [me, isinstance(Dying(), Box), me]


def in_a_destructor_of_an_argument(main: Fiber, me: Box) -> None:
    """The call is over, and its operands are being dropped one by one."""

    class Dying:
        def __del__(self) -> None:
            main.switch(me)

    assert [me, me.__dict__.get(Dying(), me), me]


def in_a_weak_callback(main: Fiber, me: Box) -> None:
    kept = Box(me=me)
    reference = weakref.ref(kept, main.switch)
    assert [me, isinstance(kept, Box)]
    del kept
    assert [reference]


def in_an_unwinding(main: Fiber, me: Box) -> None:
    """The operands of an expression that failed are being dropped."""

    class Dying:
        def __del__(self) -> None:
            main.switch(me)

    try:
        assert [me, Dying(), me, me.nothing]  # type: ignore[attr-defined]
    except AttributeError:
        pass


def in_a_return(main: Fiber, me: Box) -> None:
    class Dying:
        def __del__(self) -> None:
            main.switch(me)

    def nested() -> Box:
        _kept, dying = me, Dying()
        return [me, dying][0]

    assert [me, nested(), me]


def in_a_finalizer_of_a_fiber(main: Fiber, me: Box) -> None:
    """The fiber is left by no call of its own: it drops another, which parks while it unwinds."""

    def work() -> None:
        try:
            outer.switch()
        finally:
            main.switch(me)

    outer = getcurrent()
    fiber = Fiber(work)
    fiber.switch()
    del fiber


def in_a_call_that_drops_a_fiber(main: Fiber, me: Box) -> None:
    def work() -> None:
        try:
            outer.switch()
        finally:
            main.switch(me)

    def make() -> Fiber:
        fiber = Fiber(work)
        fiber.switch()
        return fiber

    outer = getcurrent()
    assert [me, me.__dict__.get(make(), me)]


def in_an_argument_that_parks(main: Fiber, me: Box) -> None:
    class Seconds:
        def __float__(self) -> float:
            main.switch(me)
            return 0.0

    Event().wait(Seconds())  # type: ignore[arg-type]


goes_on = pytest.mark.loses("the dropped fiber: thrown at once, it waits by hand and is let go")
WAYS = [
    by_method, by_bound_method, by_descriptor, by_keyword, by_star, by_partial,
    by_partial_with_argument, by_partial_of_descriptor, by_partial_of_call, by_method_caller,
    by_method_type, by_method_type_attribute, with_borrowed_below, in_a_sort_key,
    in_a_python_sort_key, in_a_python_call, in_a_constructor, in_a_property, in_an_operator,
    in_a_subscript, in_a_loop, in_a_generator, in_a_nested_generator, in_a_coroutine,
    in_a_with_statement, in_an_exit, in_a_handler, in_a_destructor_of_a_local,
    in_a_destructor_of_an_operand, in_a_destructor_of_an_argument, in_a_weak_callback,
    in_an_unwinding, in_a_return, in_an_argument_that_parks,
    pytest.param(in_a_finalizer_of_a_fiber, marks=goes_on),
    pytest.param(in_a_call_that_drops_a_fiber, marks=goes_on),
]  # fmt: skip


@pytest.mark.parametrize("warm", [0, 30], ids=["cold", "specialised"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_visited_more_often_than_counted(
    way: Callable[[Fiber, Box], None], warm: int, fresh: None
) -> None:
    main = getcurrent()

    def work() -> None:
        for _ in range(warm):  # until CPython has specialised the instructions
            way(idle, Box())
        way(main, Box(me=getcurrent()))

    def answer(*_: object, **__: object) -> None:
        while True:
            getcurrent().parent.switch(1)  # back to who is just being parked

    idle = Fiber(answer)
    fiber = Fiber(work)
    idle.parent = fiber
    fiber.switch()
    assert not fiber.dead
    wrong = visited_too_often()
    assert wrong == []
    while not fiber.dead:
        fiber.switch(1)


# ---- what is collected ----


def collected(begin: Callable[[Callable[[], None]], object]) -> bool:
    """Whether a cycle that `begin` made, and calls finished() from when unwound, was collected."""
    steps: list[int] = []
    begin(lambda: steps.append(1))
    sleep(0)
    collect()
    return bool(steps)


def begin_through_operands(finished: Callable[[], None]) -> None:
    def work() -> None:
        try:
            nested([getcurrent(), nested(main.switch(getcurrent()))])
        finally:
            finished()

    def nested(kept: Any) -> Any:
        return kept

    main = getcurrent()
    Fiber(work).switch()


def begin_through_a_running_generator(finished: Callable[[], None]) -> None:
    def generate() -> Iterator[Any]:
        _kept = getcurrent()
        try:
            yield main.switch()
        finally:
            finished()

    main = getcurrent()
    Fiber(lambda: list(generate())).switch()


def begin_through_a_generator_that_a_loop_runs(finished: Callable[[], None]) -> None:
    def generate() -> Iterator[Any]:
        _kept = getcurrent()
        try:
            yield main.switch()
        finally:
            finished()

    def work() -> None:
        for _ in generate():
            pass

    main = getcurrent()
    for _ in range(30):  # until the loop is specialised
        Fiber(work).switch()


def begin_through_nested_calls(finished: Callable[[], None]) -> None:
    def deeper(level: int, event: Event) -> None:
        if level == 0:
            event.wait()
        else:
            deeper(level - 1, event)

    def work() -> None:
        try:
            deeper(50, Event())
        finally:
            finished()

    spawn(work)


@pytest.mark.parametrize(
    "begin",
    [
        begin_through_operands,
        begin_through_a_generator_that_a_loop_runs,
        begin_through_nested_calls,
        pytest.param(
            begin_through_a_running_generator,
            marks=pytest.mark.xfail(IS_BORROWING, reason="list() holds the generator", strict=True),
        ),
    ],
)
def test_cycles_through_frames_are_collected(
    begin: Callable[[Callable[[], None]], object], sim: Sim
) -> None:
    assert collected(begin)


def begin_with_a_statement(finished: Callable[[], None]) -> None:
    def work() -> None:
        try:
            with Semaphore(0):
                pass
        finally:
            finished()

    spawn(work)


def begin_with_a_bound_method(finished: Callable[[], None]) -> None:
    def work() -> None:
        wait = Event().wait
        try:
            wait()
        finally:
            finished()

    spawn(work)


def begin_with_a_call_from_c(finished: Callable[[], None]) -> None:
    def work() -> None:
        event = Event()
        try:
            max([event], key=lambda kept: kept.wait())
        finally:
            finished()

    spawn(work)


BEFORE_3_14 = pytest.mark.skipif(IS_BORROWING, reason="found from 3.14 on")


@pytest.mark.xfail(reason="these references are in C only, or cannot be proved", strict=True)
@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(begin_with_a_statement, marks=BEFORE_3_14),
        pytest.param(begin_with_a_bound_method, marks=BEFORE_3_14),
        begin_with_a_call_from_c,
    ],
)
def test_cycles_through_what_c_holds_are_collected(
    begin: Callable[[Callable[[], None]], object], sim: Sim
) -> None:
    assert collected(begin)


def test_ten_thousand_parked_fibers_in_cycles_are_collected(fresh: None) -> None:
    main = getcurrent()
    unwound = [0]

    def work() -> None:
        _me = getcurrent()
        try:
            main.switch()
        finally:
            unwound[0] += 1

    for _ in range(10_000):
        Fiber(work).switch()
    gc.collect()
    assert unwound == [10_000]


def test_ten_thousand_parked_tasks_in_cycles_are_collected(sim: Sim) -> None:
    unwound = [0]

    def work() -> None:
        event = Event()
        try:
            event.wait()
        finally:
            unwound[0] += 1

    for _ in range(10_000):
        spawn(work)
    sleep(0)
    collect()
    assert unwound == [10_000]
