"""local: each fiber has its own values, made once in each, gone with the fiber."""

import gc
import weakref
from typing import Any

import pytest

import weft
from weft import native
from weft.local import local


class Thing:
    pass


class Counted(local):
    kind = "counted"
    made: list[object] = []  # noqa: RUF012

    def __init__(self, start: int, *, step: int = 1) -> None:
        self.number = start
        self.step = step
        Counted.made.append(weft.getcurrent())

    @property
    def next(self) -> int:
        return self.number + self.step

    @next.setter
    def next(self, value: int) -> None:
        self.number = value - self.step

    def advance(self) -> int:
        self.number = self.next
        return self.number


class Slotted(local):
    __slots__ = ("shared",)


def test_each_fiber_has_its_own_values(fresh: None) -> None:
    mine = local()
    mine.number = 0

    def use(number: int) -> list[int]:
        assert not hasattr(mine, "number")
        mine.number = number
        seen = []
        for _ in range(3):
            weft.sleep(0)
            seen.append(mine.number)
        return seen

    tasks = [weft.spawn(use, number) for number in (1, 2, 3)]
    assert [task.get() for task in tasks] == [[1] * 3, [2] * 3, [3] * 3]
    assert vars(mine) == {"number": 0}


def test_plain_fibers_have_their_own_too(fresh: None) -> None:
    mine = local()
    mine.x = 1
    assert weft.Fiber(lambda: hasattr(mine, "x")).switch() is False


def test_init_runs_once_in_each_fiber_with_the_same_arguments(fresh: None) -> None:
    Counted.made.clear()
    counted = Counted(10, step=5)
    assert (counted.advance(), counted.advance()) == (15, 20)
    task = weft.spawn(lambda: (counted.advance(), counted.number, counted.kind))
    assert task.get() == (15, 15, "counted")
    assert counted.number == 20
    assert Counted.made == [weft.getcurrent(), task]
    Counted.made.clear()


def test_an_init_that_fails_is_tried_again(fresh: None) -> None:
    class Fails(local):
        is_bad = False

        def __init__(self) -> None:
            if Fails.is_bad:
                raise LookupError

    fails = Fails()
    Fails.is_bad = True

    def use() -> list[str]:
        errors = []
        for _ in range(2):
            try:
                fails.x  # noqa: B018
            except LookupError as error:
                errors.append(type(error).__name__)
        return errors

    assert weft.spawn(use).get() == ["LookupError"] * 2


def test_properties_are_called_and_slots_are_shared(fresh: None) -> None:
    counted = Counted(1)
    counted.next = 10
    assert (counted.number, vars(counted)) == (9, {"number": 9, "step": 1})
    Counted.made.clear()
    slotted = Slotted()
    slotted.shared = 1
    slotted.own = 2
    assert weft.spawn(lambda: (slotted.shared, hasattr(slotted, "own"))).get() == (1, False)
    del slotted.shared
    assert not hasattr(slotted, "shared")


def test_attributes_are_deleted_and_missed_as_usual(fresh: None) -> None:
    mine = local()
    mine.x = 1
    del mine.x
    with pytest.raises(AttributeError, match="'local' object has no attribute 'x'"):
        mine.x  # noqa: B018
    with pytest.raises(AttributeError, match="'local' object has no attribute 'x'"):
        del mine.x
    for change in (lambda: setattr(mine, "__dict__", {}), lambda: delattr(mine, "__dict__")):
        with pytest.raises(AttributeError, match="read-only"):
            change()


def test_arguments_without_an_init_are_refused() -> None:
    with pytest.raises(TypeError, match="Initialization arguments are not supported"):
        local(1)


def test_native_threads_have_their_own(fresh: None) -> None:
    mine = local()
    mine.x = 1
    seen: list[bool] = []
    done = native.allocate_lock()
    done.acquire()

    def use() -> None:
        seen.append(hasattr(mine, "x"))
        mine.x = 2
        done.release()

    native.start_new_thread(use, ())
    assert done.acquire(timeout=20)
    assert (seen, mine.x) == ([False], 1)


def test_values_go_with_the_fiber_and_with_the_local(fresh: None) -> None:
    mine = local()
    gone: list[Any] = []

    def use(holder: local) -> None:
        thing = Thing()
        gone.append(weakref.ref(thing))
        holder.thing = thing
        weft.sleep(0)

    weft.joinall([weft.spawn(use, mine)])
    other = local()
    use(other)
    del other
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_locals_leave_nothing_behind(fresh: None, growth: Any) -> None:
    shared = local()

    def use() -> None:
        own = local()

        def work() -> None:
            shared.x = own.x = 1

        weft.spawn(work).get()

    growth.refuse(use)
