"""Fiber: what belongs to each one alone: handled exceptions, context, frames, recursion depth."""

import sys
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from fibril import Fiber, getcurrent


class Failure(Exception):
    pass


# ---- exceptions stay with their fiber ----


def test_the_handled_exception_belongs_to_the_fiber() -> None:
    main = getcurrent()
    seen = []

    def handle() -> None:
        try:
            raise Failure("of the fiber")
        except Failure:
            seen.append(main.switch(sys.exc_info()[1]))
            seen.append(sys.exc_info()[1])
        seen.append(sys.exc_info()[1])

    fiber = Fiber(handle)
    try:
        raise KeyError("of main")
    except KeyError as ours:
        inside = fiber.switch()
        assert str(inside) == "of the fiber"
        assert sys.exc_info()[1] is ours  # noqa: PT017
        fiber.switch("back")
        assert sys.exc_info()[1] is ours  # noqa: PT017
    assert seen == ["back", inside, None]
    assert sys.exc_info()[1] is None


def test_a_fiber_started_while_an_exception_is_handled_sees_none() -> None:
    try:
        raise Failure
    except Failure:
        assert Fiber(lambda: sys.exc_info()[1]).switch() is None


def test_a_bare_raise_after_a_switch_raises_the_fibers_own() -> None:
    main = getcurrent()

    def handle(error: BaseException) -> None:
        try:
            raise error
        except BaseException:
            main.switch()
            raise

    errors: list[BaseException] = [Failure(str(number)) for number in range(10)]
    fibers = [Fiber(handle) for _ in errors]
    for fiber, error in zip(fibers, errors, strict=True):
        fiber.switch(error)
    for fiber, error in reversed(list(zip(fibers, errors, strict=True))):
        with pytest.raises(Failure) as caught:
            fiber.switch()
        assert caught.value is error


def test_the_context_of_an_exception_does_not_cross_fibers() -> None:
    main = getcurrent()

    def fail_later() -> None:
        main.switch()
        raise Failure

    fiber = Fiber(fail_later)
    fiber.switch()
    try:
        raise KeyError
    except KeyError:
        with pytest.raises(Failure) as caught:
            fiber.switch()
    assert caught.value.__context__ is None


def test_exceptions_handled_inside_generators_stay_apart() -> None:
    main = getcurrent()

    def handling(name: str) -> Iterator[tuple[str, str]]:
        try:
            raise Failure(name)
        except Failure:
            for _ in range(3):
                yield name, str(sys.exc_info()[1])

    def walk(name: str) -> None:
        for pair in handling(name):
            main.switch(pair)

    fibers = [Fiber(walk) for _ in range(4)]
    pairs = [fiber.switch(f"f{i}") for i, fiber in enumerate(fibers)]
    pairs += [fiber.switch() for _ in range(2) for fiber in fibers]
    assert all(name == handled for name, handled in pairs)
    assert sys.exc_info()[1] is None


# ---- context variables ----


def test_a_fiber_begins_with_an_empty_context_and_keeps_its_own() -> None:
    variable: ContextVar[str] = ContextVar("variable")
    main = getcurrent()

    def use(value: str) -> None:
        assert variable.get("none") == "none"
        variable.set(value)
        for _ in range(3):
            main.switch(variable.get())

    token = variable.set("main's")
    fibers = [Fiber(use) for _ in range(5)]
    for turn in range(3):
        for number, fiber in enumerate(fibers):
            argument = (f"{number}",) if turn == 0 else ()
            assert fiber.switch(*argument) == f"{number}"
            assert variable.get() == "main's"
    variable.reset(token)


def test_a_context_variable_read_often_is_not_read_from_another_fibers_cache() -> None:
    variable: ContextVar[int] = ContextVar("variable", default=-1)
    main = getcurrent()

    def use(number: int) -> None:
        variable.set(number)
        for _ in range(100):
            assert variable.get() == number
            main.switch()

    fibers = [Fiber(use) for _ in range(10)]
    for number, fiber in enumerate(fibers):
        fiber.switch(number)
    for _ in range(50):
        for fiber in fibers:
            assert variable.get() == -1
            fiber.switch()


# ---- frames ----


def test_a_suspended_fiber_shows_its_frames() -> None:
    main = getcurrent()

    def inner() -> None:
        main.switch()

    def outer() -> None:
        inner()

    fiber = Fiber(outer)
    assert fiber.gr_frame is None
    fiber.switch()
    frame = fiber.gr_frame
    assert frame is not None
    assert frame.f_code.co_name == "inner"
    assert frame.f_lineno == inner.__code__.co_firstlineno + 1
    assert frame.f_back is not None
    assert frame.f_back.f_code.co_name == "outer"
    assert frame.f_back.f_back is None
    assert fiber.gr_frame is frame
    fiber.switch()
    assert fiber.gr_frame is None


def test_frames_show_through_calls_in_c() -> None:
    main = getcurrent()

    def leaf(_: object) -> int:
        main.switch()
        return 0

    def walk() -> None:
        sorted([1], key=lambda item: max(map(leaf, [item])))

    fiber = Fiber(walk)
    fiber.switch()
    names = [frame.f_code.co_name for frame, _ in traceback.walk_stack(fiber.gr_frame)]
    assert names == ["leaf", "<lambda>", "walk"]
    fiber.switch()


def test_a_frame_held_beyond_the_end_keeps_its_locals() -> None:
    main = getcurrent()

    def work() -> None:
        kept = ["precious"]  # noqa: F841
        main.switch()

    fiber = Fiber(work)
    fiber.switch()
    frame = fiber.gr_frame
    assert frame is not None
    fiber.switch()
    del fiber
    assert frame.f_locals["kept"] == ["precious"]
    assert frame.f_back is None


def test_the_current_fiber_has_no_suspended_frame() -> None:
    assert getcurrent().gr_frame is None
    assert Fiber(lambda: getcurrent().gr_frame).switch() is None
    parent_frame = Fiber(lambda: getcurrent().parent.gr_frame).switch()
    assert parent_frame is sys._getframe()


def test_the_stack_of_a_fiber_ends_at_its_function() -> None:
    def stack() -> list[str]:
        return [frame.f_code.co_name for frame, _ in traceback.walk_stack(sys._getframe())]

    assert Fiber(stack).switch() == ["stack"]


# ---- recursion ----


def recurse(levels: int) -> int:
    return 0 if levels == 0 else 1 + recurse(levels - 1)


def recurse_for_ever() -> None:
    recurse_for_ever()


def test_endless_recursion_is_an_error_in_the_fiber_and_main_goes_on() -> None:
    for _ in range(3):
        with pytest.raises(RecursionError):
            Fiber(recurse_for_ever).switch()
    assert recurse(500) == 500


def test_a_fiber_has_the_whole_depth_for_itself() -> None:
    def deep(levels: int) -> int:
        return Fiber(recurse).switch(700) if levels == 0 else deep(levels - 1)

    assert deep(sys.getrecursionlimit() - 300) == 700


def test_depth_does_not_leak_between_thousands_of_suspended_fibers() -> None:
    main = getcurrent()

    def park_deep(levels: int) -> int:
        if levels == 0:
            main.switch()
            return recurse(500)
        return park_deep(levels - 1)

    fibers = [Fiber(park_deep) for _ in range(2000)]
    for fiber in fibers:
        fiber.switch(30)
    assert recurse(500) == 500
    assert {fiber.switch() for fiber in fibers} == {500}
    assert recurse(500) == 500


def test_a_changed_limit_holds_for_suspended_fibers_too() -> None:
    main = getcurrent()

    def work() -> int:
        main.switch()
        return recurse(sys.getrecursionlimit() - 150)

    fiber = Fiber(work)
    fiber.switch()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 400)
    try:
        assert fiber.switch() == limit + 250
    finally:
        sys.setrecursionlimit(limit)
    with pytest.raises(RecursionError):
        Fiber(recurse).switch(limit + 100)


# ---- switching from odd places ----


def generate(numbers: list[int], fiber: Fiber) -> Iterator[Any]:
    for number in numbers:
        yield number, fiber.switch()


def test_generators_may_be_walked_by_several_fibers_in_turn() -> None:
    main = getcurrent()
    shared = iter(range(6))

    def take() -> None:
        for number in shared:
            main.switch(number)

    first, second = Fiber(take), Fiber(take)
    assert [fiber.switch() for _ in range(3) for fiber in (first, second)] == list(range(6))


def test_a_generator_that_is_running_in_a_parked_fiber_refuses_another() -> None:
    main = getcurrent()

    def numbers() -> Iterator[int]:
        main.switch("inside the generator")
        yield 1

    generator = numbers()
    fiber = Fiber(lambda: next(generator))
    assert fiber.switch() == "inside the generator"
    with pytest.raises(ValueError, match="already executing"):
        next(generator)
    assert fiber.switch() == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda leave: sorted([3, 1, 2], key=lambda _: leave()),
        lambda leave: list(map(lambda _: leave(), range(3))),  # noqa: C417
        lambda leave: max([1, 2], key=lambda _: leave()),
        lambda leave: {leave(): 1 for _ in range(2)},
        lambda leave: eval("leave() + leave()", {"leave": leave}),
        lambda leave: type("C", (), {"__getattr__": lambda *_: leave()})().missing,
        lambda leave: type("C", (), {"__eq__": lambda *_: bool(leave()) or True})() == 1,
        lambda leave: type("C", (), {"__repr__": lambda _: str(leave())})().__repr__(),
        lambda leave: type("C", (), {"__iter__": lambda _: iter([leave()])})().__iter__(),
    ],
)
def test_a_switch_from_inside_a_call_in_c_comes_back(use: Callable[..., Any]) -> None:
    main = getcurrent()

    def leave() -> int:
        main.switch("left")
        return 7

    fiber = Fiber(use)
    other = Fiber(use)
    got = [fiber.switch(leave), other.switch(leave)]
    while not (fiber.dead and other.dead):
        got += [one.switch() for one in (fiber, other) if not one.dead]
    assert got[0] == "left" == got[1]


def test_a_destructor_may_switch() -> None:
    main = getcurrent()

    class Leaving:
        def __del__(self) -> None:
            main.switch("from the destructor")

    def work() -> str:
        thing = Leaving()
        del thing
        return "end"

    fiber = Fiber(work)
    assert fiber.switch() == "from the destructor"
    assert fiber.switch() == "end"


def test_a_destructor_of_a_local_may_switch_while_its_frame_is_cleared() -> None:
    main = getcurrent()

    class Leaving:
        def __del__(self) -> None:
            main.switch("from the destructor")

    def inner() -> None:
        _first, _second, _third = object(), Leaving(), object()

    fiber = Fiber(lambda: (inner(), "end")[1])
    assert fiber.switch() == "from the destructor"
    assert fiber.gr_frame is not None
    assert fiber.switch() == "end"


def test_a_weak_references_callback_may_switch() -> None:
    main = getcurrent()

    class Thing:
        pass

    def work() -> str:
        thing = Thing()
        reference = weakref.ref(thing, lambda _: main.switch("from the callback"))
        del thing
        return f"end {reference() is None}"

    fiber = Fiber(work)
    assert fiber.switch() == "from the callback"
    assert fiber.switch() == "end True"
