"""Tasks that are parked deep in C, with known values on their stacks, and say if they still hold.

Each nests its own number of levels, of two kinds in turn: C's sort, whose frames hold pointers and
which calls back for a key; and canary.c, which holds a pattern of 2 to 64 KiB. Who writes outside
of his own stack changes one of them: then a word of a pattern is wrong, the checksum is another, or
the neighbour crashes when it runs on.
"""

import canary  # compiled by the test, see test_torture.py

import fibril
from fibril.event import Event

LEVELS_MAX = 7
KIB = 128  # words


class Harmed(Exception):
    """A neighbour did not find on its stack what it had put there."""


def words(level: int, number: int) -> int:
    """The size of a pattern: one of 2 to 64 KiB in each neighbour, the others small."""
    return (2 * KIB) << (number % 6 if level == 2 else 0)


def mix(found: int, level: int) -> int:
    return (found * 31 + level) % (1 << 61)


def descend(level: int, number: int, gate: Event) -> int:
    if level == 0:
        gate.wait()
        return number
    if level % 2:
        found: list[int] = []
        values = sorted(
            [number], key=lambda value: found.append(descend(level - 1, value, gate)) or 0
        )
        if values != [number]:
            raise Harmed(f"neighbour {number} sorted {values}")
        return mix(found[0], level)
    inner, damaged = canary.hold(
        words(level, number), number + level, lambda _: descend(level - 1, number, gate)
    )
    if damaged:
        raise Harmed(f"{damaged} words of neighbour {number} at level {level}")
    return mix(inner, level)


def expected(number: int) -> int:
    found = number
    for level in range(1, number % LEVELS_MAX + 1):
        found = mix(found, level)
    return found


class Neighbours:
    """Some that stay parked until they are asked, amid the stacks of some that have left."""

    def __init__(self, count: int) -> None:
        self.gate, gone = Event(), Event()
        self.tasks = []
        leaving = []
        for number in range(count):
            self.tasks.append(fibril.spawn(descend, number % LEVELS_MAX, number, self.gate))
            if number % 25 == 0:
                leaving.append(fibril.spawn(descend, number % LEVELS_MAX, number, gone))
        fibril.sleep(0)
        gone.set()
        fibril.joinall(leaving)

    def complaints(self) -> list[str]:
        """Each runs on to its end, and says what it found."""
        if any(task.ready() for task in self.tasks):
            return ["a neighbour was not parked any more"]
        self.gate.set()
        fibril.joinall(self.tasks)
        return [
            f"neighbour {number}: {task.exception!r}"
            for number, task in enumerate(self.tasks)
            if not task.successful() or task.value != expected(number)
        ]
