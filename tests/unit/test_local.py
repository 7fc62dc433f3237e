"""local: each fiber has its own values, made once in each, gone with the fiber."""

import copy
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import fibril
from fibril import native
from fibril.local import all_local_dicts_for_greenlet, local


class Thing:
    pass


class Counted(local):
    kind = "counted"
    made: list[object] = []  # noqa: RUF012

    def __init__(self, start: int, *, step: int = 1) -> None:
        self.number = start
        self.step = step
        Counted.made.append(fibril.getcurrent())

    @property
    def next(self) -> int:
        return self.number + self.step

    @next.setter
    def next(self, value: int) -> None:
        self.number = value - self.step

    def advance(self) -> int:
        self.number = self.next
        return self.number


@pytest.fixture(autouse=True)
def forget_who_made_them() -> Iterator[None]:
    yield
    Counted.made.clear()


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
            fibril.sleep(0)
            seen.append(mine.number)
        return seen

    tasks = [fibril.spawn(use, number) for number in (1, 2, 3)]
    assert [task.get() for task in tasks] == [[1] * 3, [2] * 3, [3] * 3]
    assert vars(mine) == {"number": 0}


def test_plain_fibers_have_their_own_too(fresh: None) -> None:
    mine = local()
    mine.x = 1
    assert fibril.Fiber(lambda: hasattr(mine, "x")).switch() is False


def test_init_runs_once_in_each_fiber_with_the_same_arguments(fresh: None) -> None:
    counted = Counted(10, step=5)
    assert (counted.advance(), counted.advance()) == (15, 20)
    task = fibril.spawn(lambda: (counted.advance(), counted.number, counted.kind))
    assert task.get() == (15, 15, "counted")
    assert counted.number == 20
    assert Counted.made == [fibril.getcurrent(), task]


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

    assert fibril.spawn(use).get() == ["LookupError"] * 2


def test_properties_are_called_and_slots_are_shared(fresh: None) -> None:
    counted = Counted(1)
    counted.next = 10
    assert (counted.number, vars(counted)) == (9, {"number": 9, "step": 1})
    slotted = Slotted()
    slotted.shared = 1
    slotted.own = 2
    assert fibril.spawn(lambda: (slotted.shared, hasattr(slotted, "own"))).get() == (1, False)
    del slotted.shared
    assert not hasattr(slotted, "shared")


def test_attributes_are_deleted_and_missed_as_usual(fresh: None) -> None:
    mine = local()
    mine.x = 1
    del mine.x
    with pytest.raises(AttributeError, match="local' object has no attribute 'x'"):
        mine.x  # noqa: B018
    with pytest.raises(AttributeError, match="local' object has no attribute 'x'"):
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
        fibril.sleep(0)

    fibril.joinall([fibril.spawn(use, mine)])
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

        fibril.spawn(work).get()

    growth.refuse(use)


def test_values_are_found_again_by_many_fibers_in_turn(fresh: None) -> None:
    mine, other = local(), local()

    def use(number: int) -> None:
        mine.number, other.number = number, -number
        for _ in range(5):
            fibril.sleep(0)
            assert (mine.number, other.number) == (number, -number)
            mine.number, other.number = mine.number + 0, other.number + 0

    fibril.joinall([fibril.spawn(use, number) for number in range(50)], raise_error=True)
    assert not hasattr(mine, "number")


def test_what_is_like_a_property_comes_before_values_and_methods_after(fresh: None) -> None:
    class Mixed(local):
        fixed = property(lambda self: "property")

        def method(self) -> str:
            return "method"

    mine = Mixed()
    mine.__dict__.update(fixed="value", method="value")
    assert (mine.fixed, mine.method) == ("property", "value")
    with pytest.raises(AttributeError):
        mine.fixed = 1  # type: ignore[misc]
    del mine.__dict__["method"]
    assert mine.method() == "method"
    assert type(mine).__name__ == mine.__class__.__name__ == "Mixed"


def test_a_missing_attribute_is_asked_for_by_getattr(fresh: None) -> None:
    class Asking(local):
        def __getattr__(self, name: str) -> str:
            return f"no {name}"

    mine = Asking()
    mine.there = 1
    assert (mine.there, mine.missing) == (1, "no missing")
    assert fibril.spawn(lambda: mine.there).get() == "no there"


def test_an_init_may_wait_while_others_use_the_same_local(fresh: None) -> None:
    class Slow(local):
        def __init__(self) -> None:
            self.first = fibril.getcurrent()
            fibril.sleep(0)
            self.second = fibril.getcurrent()

    mine = Slow()

    def use() -> bool:
        mine.third = fibril.getcurrent()
        return mine.first is mine.second is mine.third is fibril.getcurrent()

    tasks = [fibril.spawn(use) for _ in range(5)]
    assert [task.get() for task in tasks] == [True] * 5


def test_a_local_in_its_own_values_is_collected(fresh: None) -> None:
    thing = Thing()
    gone = weakref.ref(thing)

    def make(thing: Thing) -> None:
        mine = local()
        mine.myself, mine.thing = mine, thing

    fibril.spawn(make, thing).join()
    make(thing)
    del thing
    gc.collect()
    assert gone() is None


def test_a_finalizer_may_use_the_local_whose_values_go(fresh: None) -> None:
    seen: list[object] = []

    class Last:
        def __init__(self, holder: local) -> None:
            self.holder = holder

        def __del__(self) -> None:
            self.holder.seen = seen
            seen.append(vars(self.holder))

    def make() -> None:
        mine = local()
        mine.last = Last(mine)

    make()
    fibril.spawn(make).join()
    gc.collect()
    assert len(seen) == 2


class Garbage:
    """Sets a value of its local when it is collected."""

    def __init__(self, holder: local) -> None:
        self.holder, self.myself = holder, self

    def __del__(self) -> None:
        self.holder.early = True


@pytest.mark.parametrize("kind", [local, lambda: Counted(1)])
def test_a_value_set_by_a_collection_in_the_middle_stays(fresh: None, kind: Any) -> None:
    """Before 3.12 a collection may come wherever something is allocated: so it does, everywhere."""

    def use(mine: local, allocations: int) -> tuple[bool, bool]:
        gc.collect()
        Garbage(mine)
        gc.set_threshold(gc.get_count()[0] + allocations)
        gc.enable()
        mine.late = True
        gc.disable()
        gc.collect()
        return mine.early, mine.late

    threshold = gc.get_threshold()
    gc.disable()
    try:
        for allocations in range(30):
            assert fibril.spawn(use, kind(), allocations).get() == (True, True)
    finally:
        gc.set_threshold(*threshold)
        gc.enable()


def test_a_fiber_that_ends_drops_its_values_while_others_keep_theirs(fresh: None) -> None:
    mine = local()
    mine.thing = kept = Thing()
    task = fibril.spawn(setattr, mine, "thing", Thing())
    task.join()
    [(_, values)] = all_local_dicts_for_greenlet(task)
    gone = weakref.ref(values["thing"])
    del task, values
    gc.collect()
    assert gone() is None
    assert mine.thing is kept


def test_the_values_of_a_fiber_can_be_listed(fresh: None) -> None:
    mine, other, unused = local(), Slotted(), local()
    mine.x, other.y = 1, 2
    ours = [(mine, {"x": 1}), (other, {"y": 2}), (unused, {})]
    expected = [((type(each), id(each)), values) for each, values in ours]
    found = all_local_dicts_for_greenlet(fibril.getcurrent())
    assert [pair for pair in found if pair[0][1] in {id(each) for each, _ in ours}] == expected
    with pytest.raises(TypeError, match="give a fiber"):
        all_local_dicts_for_greenlet(3)  # type: ignore[arg-type]


def test_a_copy_has_this_fiber_s_values(fresh: None) -> None:
    mine = Counted(5, step=3)
    mine.number = 7
    fibril.spawn(setattr, mine, "number", 9).join()
    twin = copy.copy(mine)
    mine.number = 8
    assert (type(twin), vars(twin)) == (Counted, {"number": 7, "step": 3})
    assert fibril.spawn(lambda: (twin.number, twin.step)).get() == (5, 3)


def test_a_copy_of_another_kind_is_refused(fresh: None) -> None:
    class Misleading(local):
        made = 0

        def __new__(cls) -> Any:
            cls.made += 1
            return super().__new__(cls) if cls.made == 1 else 3

    with pytest.raises(TypeError, match="objects of another kind"):
        copy.copy(Misleading())


def test_a_name_that_is_no_text_is_refused(fresh: None) -> None:
    name: Any = 3
    mine = local()
    for use in (getattr, local.__getattribute__, delattr, local.__delattr__):
        with pytest.raises(TypeError):
            use(mine, name)
    for change in (setattr, local.__setattr__):
        with pytest.raises(TypeError):
            change(mine, name, 4)
