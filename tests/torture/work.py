"""What a library is made to do: its deepest ordinary things, and how deep it goes at all.

`LIBRARIES[name]` is a function that imports the library and returns its Work. Each file below
libraries/ fills in some.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

TASKS = 20  # that do it at once, each once


class Value(NamedTuple):
    """A computation whose result must be the same in a thread and in every task."""

    compute: Callable[[], Any]
    task_count: int  # in how many tasks: not in all, where it takes long


class Limit(NamedTuple):
    """Something that goes n levels deep, and is refused from some n on; `high`: the most to ask."""

    attempt: Callable[[int], object]
    high: int


class Work:
    """All that one library does."""

    def __init__(self, is_same: Callable[[Any, Any], bool] = operator.eq) -> None:
        self.is_same = is_same
        self.values: dict[str, Value] = {}
        self.limits: dict[str, Limit] = {}

    def value(self, name: str, compute: Callable[[], Any], task_count: int = TASKS) -> None:
        self.values[name] = Value(compute, task_count)

    def items_of(self, number: int) -> list[str]:
        """The values that a task computes, in its own order: what takes long is spread over all."""
        names = list(self.values)
        first = number % max(1, len(names))
        return [
            name
            for at, name in [*enumerate(names)][first:] + [*enumerate(names)][:first]
            if (number - at) % TASKS < self.values[name].task_count
        ]

    def limit(self, name: str, attempt: Callable[[int], object], high: int) -> None:
        self.limits[name] = Limit(attempt, high)


LIBRARIES: dict[str, Callable[[], Work]] = {}


def library(make: Callable[[], Work]) -> Callable[[], Work]:
    """The name of the function is that of the library, as it is imported."""
    LIBRARIES[make.__name__] = make
    return make


def nested(levels: int, wrap: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    """Something in something in something."""
    made: Any = wrap(None)
    for _ in range(levels - 1):
        made = wrap(made)
    return made
