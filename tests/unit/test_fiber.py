"""Fiber: explicit switching, with greenlet's rules for values, death, parents and exceptions."""

import copy
import pickle
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from fibril import Fiber, FiberError, GreenletExit, getcurrent


class Failure(Exception):
    pass


def echo() -> Any:
    """Gives back whatever it gets, for ever."""
    got = None
    while True:
        got = getcurrent().parent.switch(got)


# ---- values ----


def test_the_first_switch_calls_the_function_with_its_arguments() -> None:
    fiber = Fiber(lambda *args, **kwargs: (args, kwargs))
    assert fiber.switch(1, 2, three=3) == ((1, 2), {"three": 3})


def test_the_result_goes_to_the_parent() -> None:
    assert Fiber(lambda: "result").switch() == "result"
    assert Fiber(lambda: None).switch() is None


@pytest.mark.parametrize(
    ("args", "kwargs", "received"),
    [
        ((), {}, ()),
        ((1,), {}, 1),
        ((None,), {}, None),
        (((),), {}, ()),
        ((1, 2), {}, (1, 2)),
        ((), {"a": 1}, {"a": 1}),
        ((1,), {"a": 1}, ((1,), {"a": 1})),
        ((1, 2), {"a": 1}, ((1, 2), {"a": 1})),
    ],
)
def test_a_later_switch_hands_over_its_arguments(
    args: tuple[Any, ...], kwargs: dict[str, Any], received: Any
) -> None:
    fiber = Fiber(echo)
    fiber.switch()
    assert fiber.switch(*args, **kwargs) == received


def test_switching_to_the_current_fiber_gives_the_value_back() -> None:
    assert getcurrent().switch("me") == "me"
    assert getcurrent().switch() == ()
    assert getcurrent().switch(1, a=2) == ((1,), {"a": 2})
    assert Fiber(lambda: getcurrent().switch("inside")).switch() == "inside"


def test_fibers_may_switch_to_each_other_past_their_parents() -> None:
    main = getcurrent()
    seen = []

    def left() -> str:
        seen.append(right.switch("to right"))
        return "left ends"

    def right_(value: str) -> None:
        seen.append(value)
        left_fiber.switch("to left")
        seen.append("never")

    left_fiber, right = Fiber(left), Fiber(right_)
    assert left_fiber.parent is main is right.parent
    assert left_fiber.switch() == "left ends"
    assert seen == ["to right", "to left"]


def test_a_thousand_fibers_pass_a_value_around_a_ring() -> None:
    main = getcurrent()
    ring: list[Fiber] = []

    def member(index: int) -> None:
        number = main.switch()
        while True:
            target = ring[index + 1] if index + 1 < len(ring) else main
            number = target.switch(number + 1)

    ring += [Fiber(member) for _ in range(1000)]
    for index, fiber in enumerate(ring):
        fiber.switch(index)
    assert [ring[0].switch(start) for start in (0, 7)] == [1000, 1007]


# ---- life and death ----


def test_life_shows_in_bool_and_dead() -> None:
    fiber = Fiber(echo)
    assert (bool(fiber), fiber.dead) == (False, False)
    fiber.switch()
    assert (bool(fiber), fiber.dead) == (True, False)
    fiber.throw()
    assert (bool(fiber), fiber.dead) == (False, True)


def test_inside_itself_a_fiber_is_true_and_not_dead() -> None:
    assert Fiber(lambda: (bool(getcurrent()), getcurrent().dead)).switch() == (True, False)


@pytest.mark.parametrize(
    ("args", "kwargs", "received"),
    [((), {}, ()), ((1,), {}, 1), ((1, 2), {}, (1, 2)), ((1,), {"a": 2}, ((1,), {"a": 2}))],
)
def test_a_switch_to_a_dead_fiber_comes_back_from_its_parent(
    args: tuple[Any, ...], kwargs: dict[str, Any], received: Any
) -> None:
    dead = Fiber(lambda: None)
    dead.switch()
    assert dead.switch(*args, **kwargs) == received


def test_a_switch_to_a_dead_fiber_reaches_its_nearest_living_ancestor() -> None:
    living = Fiber(echo)
    living.switch()
    dying = Fiber(lambda: None, living)
    child = Fiber(lambda: None, dying)
    child.parent = living
    child.switch()
    child.parent = dying
    dying.parent = getcurrent()
    dying.switch()
    dying.parent = living
    assert child.dead
    assert dying.dead
    assert child.switch("up") == "up"


def test_greenlet_exit_is_a_result() -> None:
    def leave() -> None:
        raise GreenletExit("bye")

    result = Fiber(leave).switch()
    assert isinstance(result, GreenletExit)
    assert result.args == ("bye",)


def test_a_subclass_of_greenlet_exit_is_a_result_too() -> None:
    class Leave(GreenletExit):
        pass

    def leave() -> None:
        raise Leave

    assert isinstance(Fiber(leave).switch(), Leave)


def test_other_exceptions_are_raised_in_the_parent() -> None:
    def fail() -> None:
        raise Failure("inside")

    with pytest.raises(Failure, match="inside") as caught:
        Fiber(fail).switch()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "fail"
    assert sys._getframe().f_code.co_name in names


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, BaseException])
def test_base_exceptions_are_raised_in_the_parent(error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(error):
        Fiber(fail).switch()


def test_a_fiber_without_anything_to_run_cannot_start() -> None:
    fiber = Fiber()
    with pytest.raises(AttributeError, match="run"):
        fiber.switch()
    fiber.run = lambda: "later"
    assert fiber.switch() == "later"


def test_what_cannot_be_called_fails_in_the_parent() -> None:
    with pytest.raises(TypeError, match="not callable"):
        Fiber(5).switch()  # type: ignore[arg-type]


def test_wrong_arguments_fail_in_the_parent() -> None:
    fiber = Fiber(lambda: None)
    with pytest.raises(TypeError, match="positional argument"):
        fiber.switch(1)
    assert fiber.dead


# ---- throw ----


def catch_one() -> Any:
    """Returns the exception that is thrown into it."""
    try:
        getcurrent().parent.switch("ready")
    except BaseException as error:
        return error


def thrown(*args: Any) -> Any:
    fiber = Fiber(catch_one)
    assert fiber.switch() == "ready"
    return fiber.throw(*args)


def test_throw_raises_at_the_pending_switch() -> None:
    assert type(thrown(Failure)) is Failure
    assert thrown(Failure, "text").args == ("text",)
    assert thrown(Failure, ("a", "b")).args == ("a", "b")
    instance = Failure("made before")
    assert thrown(instance) is instance
    assert thrown(Failure, instance) is instance
    assert thrown(instance, None) is instance
    assert type(thrown()) is GreenletExit


def test_throw_keeps_a_given_traceback() -> None:
    def origin() -> None:
        raise Failure

    try:
        origin()
    except Failure as error:
        given = error.__traceback__
    for arguments in ((Failure, None, given), (Failure("x"), None, given)):
        frames = traceback.extract_tb(thrown(*arguments).__traceback__)
        assert "origin" in [frame.name for frame in frames]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Failure, "x", "no traceback"), "traceback object"),
        ((Failure("x"), "value"), "separate value"),
        (("text",), "exceptions must be classes, or instances, not str"),
        ((abs,), "exceptions must be classes, or instances"),
        ((int,), "exceptions must be classes, or instances, not type"),
    ],
)
def test_throw_refuses_what_is_no_exception(arguments: tuple[Any, ...], message: str) -> None:
    fiber = Fiber(catch_one)
    fiber.switch()
    with pytest.raises(TypeError, match=message):
        fiber.throw(*arguments)
    assert not fiber.dead
    fiber.throw()


def test_throw_into_a_fiber_that_never_started_ends_it() -> None:
    ran = []
    fiber = Fiber(lambda: ran.append(1))
    with pytest.raises(Failure):
        fiber.throw(Failure)
    assert fiber.dead
    exiting = Fiber(lambda: ran.append(2))
    assert isinstance(exiting.throw(), GreenletExit)
    assert exiting.dead
    assert ran == []


def test_throw_into_a_dead_fiber_raises_in_the_living_ancestor() -> None:
    dead = Fiber(lambda: None)
    dead.switch()
    with pytest.raises(Failure):
        dead.throw(Failure)
    exit_ = dead.throw(GreenletExit("again"))
    assert isinstance(exit_, GreenletExit)


def test_throw_into_the_current_fiber_raises_here() -> None:
    with pytest.raises(Failure):
        getcurrent().throw(Failure)


def test_an_exception_whose_constructor_fails_fails_the_throw() -> None:
    class Difficult(Exception):
        def __init__(self) -> None:
            raise Failure("in the constructor")

    assert isinstance(thrown(Difficult), Failure)


def test_a_thrown_exception_goes_to_the_original_parent() -> None:
    main = getcurrent()

    def first() -> str:
        try:
            second.switch()
        except Failure:
            return "first caught it"
        return "first saw nothing"

    def wait() -> None:
        main.switch()

    second = Fiber(wait)
    outer = Fiber(first)
    outer.switch()
    with pytest.raises(Failure):
        second.throw(Failure)
    assert outer.switch() == "first saw nothing"


# ---- run ----


def test_run_can_be_read_set_and_deleted_before_the_start() -> None:
    fiber = Fiber()
    with pytest.raises(AttributeError):
        fiber.run  # noqa: B018
    del fiber.run  # there is none: greenlet does not mind
    fiber.run = len
    assert fiber.run is len
    del fiber.run
    with pytest.raises(AttributeError):
        fiber.run  # noqa: B018
    fiber.run = lambda: "ran"
    assert fiber.switch() == "ran"


def test_run_is_gone_once_started() -> None:
    fiber = Fiber(echo)
    fiber.switch()
    with pytest.raises(AttributeError):
        fiber.run  # noqa: B018
    with pytest.raises(AttributeError, match="cannot be set after the start"):
        fiber.run = len
    with pytest.raises(AttributeError):
        del fiber.run


def test_a_subclass_may_define_run() -> None:
    class Doubling(Fiber):
        def run(self, number: int) -> int:
            return number * 2

    assert Doubling().switch(21) == 42


def test_an_instance_may_override_the_run_of_its_class() -> None:
    class Fixed(Fiber):
        def run(self) -> str:
            return "class"

    fiber = Fixed()
    fiber.run = lambda: "instance"
    assert fiber.switch() == "instance"


def test_a_run_property_may_start_the_fiber_itself() -> None:
    class Hasty(Fiber):
        count = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "run" and self.count == 0:
                self.count = 1
                self.switch(43)
            return Fiber.__getattribute__(self, name)

        def run(self, value: int) -> None:
            while True:
                value = self.parent.switch(value)

    fiber = Hasty()
    assert fiber.switch(42) == 42
    assert fiber.throw(GreenletExit).__class__ is GreenletExit


def test_a_run_property_that_fails_leaves_the_fiber_unstarted() -> None:
    class Failing(Fiber):
        @property
        def run(self) -> Any:
            raise Failure

    fiber = Failing()
    with pytest.raises(Failure):
        fiber.switch()
    assert not fiber.dead
    assert not fiber


# ---- parents ----


def test_the_parent_is_who_made_it() -> None:
    assert getcurrent().parent is None
    made = []

    def make() -> None:
        made.append(Fiber(lambda: None))

    maker = Fiber(make)
    maker.switch()
    assert made[0].parent is maker
    assert maker.parent is getcurrent()


def test_a_new_parent_gets_the_result() -> None:
    main = getcurrent()
    seen = []

    def other() -> None:
        seen.append(main.switch())

    other_fiber = Fiber(other)
    other_fiber.switch()
    fiber = Fiber(lambda: "for other")
    fiber.parent = other_fiber
    fiber.switch()
    assert seen == ["for other"]


def test_the_parent_may_change_while_it_runs() -> None:
    seen: list[str] = []

    def other(value: str = "") -> None:
        seen.append(value)

    def adopt() -> str:
        getcurrent().parent = Fiber(other, main)
        return "to the new parent"

    main = getcurrent()
    Fiber(adopt).switch()
    assert seen == ["to the new parent"]


@pytest.mark.parametrize("wrong", [5, "main", None, object()])
def test_only_a_fiber_can_be_a_parent(wrong: Any) -> None:
    fiber = Fiber(echo)
    with pytest.raises(TypeError):
        fiber.parent = wrong
    with pytest.raises((AttributeError, TypeError)):
        del fiber.parent


def test_parents_cannot_form_a_circle() -> None:
    first, second, third = Fiber(echo), Fiber(echo), Fiber(echo)
    second.parent = first
    third.parent = second
    with pytest.raises(ValueError, match="cyclic parent chain"):
        first.parent = third
    with pytest.raises(ValueError, match="cyclic parent chain"):
        first.parent = first
    with pytest.raises((AttributeError, ValueError)):
        getcurrent().parent = first


def test_an_unstarted_parent_starts_with_the_result() -> None:
    parent = Fiber(lambda *args: ("parent got", args))
    child = Fiber(lambda: "child's", parent)
    assert child.switch() == ("parent got", ("child's",))
    assert parent.dead


def test_an_unstarted_parent_dies_of_the_exception() -> None:
    ran = []

    def fail() -> None:
        raise Failure

    parent = Fiber(lambda *args: ran.append(args))
    with pytest.raises(Failure):
        Fiber(fail, parent).switch()
    assert parent.dead
    assert ran == []


def test_an_unstarted_parent_whose_class_defines_run_starts_with_the_result() -> None:
    class Parent(Fiber):
        def run(self, value: str) -> str:
            return "parent got " + value

    assert Fiber(lambda: "it", Parent()).switch() == "parent got it"


def test_an_unstarted_parent_with_nothing_to_run_fails_in_its_own_parent() -> None:
    with pytest.raises(AttributeError, match="run"):
        Fiber(lambda: 1, Fiber()).switch()


def test_an_unstarted_parent_whose_run_property_fails_fails_in_its_own_parent() -> None:
    class Failing(Fiber):
        @property
        def run(self) -> Any:
            raise Failure("in the property")

    with pytest.raises(Failure, match="in the property"):
        Fiber(lambda: 1, Failing()).switch()


def test_a_long_line_of_unstarted_parents_starts_one_after_the_other() -> None:
    line = Fiber(lambda value: value)
    for _ in range(500):
        line = Fiber(lambda value: value + 1, line)
    assert line.switch(0) == 500


def test_greenlet_exit_thrown_down_a_line_of_unstarted_parents_is_a_value() -> None:
    parent = Fiber(lambda value: ("parent got", type(value)))
    child = Fiber(lambda: None, parent)
    assert child.throw() == ("parent got", GreenletExit)


# ---- the object ----


def test_it_has_attributes_and_weak_references() -> None:
    fiber = Fiber(echo)
    fiber.anything = 1  # type: ignore[attr-defined]
    assert fiber.__dict__ == {"anything": 1}
    reference = weakref.ref(fiber)
    assert reference() is fiber
    del fiber
    assert reference() is None


def test_a_subclass_may_have_slots() -> None:
    class Slotted(Fiber):
        __slots__ = ("place",)

    fiber = Slotted(lambda: fiber.place)
    fiber.place = "slot"
    assert fiber.switch() == "slot"


@pytest.mark.parametrize("use", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_cannot_be_copied_or_pickled(use: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="cannot"):
        use(Fiber(echo))


def test_its_repr_tells_its_state() -> None:
    fiber = Fiber(echo)
    assert "pending" in repr(fiber)
    fiber.switch()
    assert "suspended" in repr(fiber)
    assert "current" in Fiber(lambda: repr(getcurrent())).switch()
    fiber.throw()
    assert "dead" in repr(fiber)
    assert "main" in repr(getcurrent())


def test_the_constructor_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError):
        Fiber(echo, None, 3)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Fiber(nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Fiber(echo, "parent")  # type: ignore[arg-type]


def test_a_fiber_of_another_thread_cannot_be_switched_to() -> None:
    made: list[Fiber] = []
    is_made, may_end = threading.Event(), threading.Event()

    def work() -> None:
        fiber = Fiber(echo)
        fiber.switch()
        made.extend([fiber, Fiber(echo), getcurrent()])
        is_made.set()
        may_end.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    is_made.wait(10)
    try:
        for fiber in made:
            with pytest.raises(FiberError, match="different thread"):
                fiber.switch()
            with pytest.raises(FiberError, match="different thread"):
                fiber.throw(Failure)
        started = Fiber(getcurrent().switch)
        started.switch()
        with pytest.raises(ValueError, match="parent cannot be on a different thread"):
            started.parent = made[0]
        started.switch()
    finally:
        may_end.set()
        thread.join(10)
    for fiber in made:
        with pytest.raises(FiberError, match="exited"):
            fiber.switch()
