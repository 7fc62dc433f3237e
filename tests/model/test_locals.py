"""local: each task has values of its own, for as long as it lives."""

from collections import defaultdict
from typing import Any

from hypothesis import strategies as st

from fibril.local import local
from tests.model.machine import SECONDS, Machine, Side, compare, operation


class Mine(local):
    """Begins with a value, in each task."""

    first: list[int]

    def __init__(self, value: int) -> None:
        self.first = [value]


class FibrilValues:
    def __init__(self, side: Side) -> None:
        self.mine = Mine(7)

    def put(self, name: str, value: int) -> None:
        setattr(self.mine, name, value)

    def take(self, name: str) -> Any:
        return getattr(self.mine, name)

    def drop(self, name: str) -> None:
        delattr(self.mine, name)

    def grow(self, value: int) -> list[int]:
        self.mine.first.append(value)
        return list(self.mine.first)

    def names(self) -> list[str]:
        return sorted(self.mine.__dict__)


class Values:
    """What one task has."""

    def __init__(self) -> None:
        self.first = [7]


class ModelValues(FibrilValues):
    """An object for each task."""

    def __init__(self, side: Any) -> None:
        self.world = side.world
        self.values: defaultdict[Any, Values] = defaultdict(Values)

    @property
    def mine(self) -> Any:  # type: ignore[override]
        return self.values[self.world.current]


NAMES = st.sampled_from("ab")
USE = st.one_of(
    operation("put", NAMES, st.integers(0, 3)),
    operation("take", NAMES),
    operation("drop", NAMES),
    operation("grow", st.integers(0, 3)),
    operation("names"),
)
VALUES = Machine(
    fibril=FibrilValues,
    model=ModelValues,
    operations=st.one_of(*[USE] * 2, operation("sleep", SECONDS)),
    instant=USE,
)


def test_each_task_has_its_own_values() -> None:
    compare(VALUES)
