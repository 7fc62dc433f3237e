"""What a soak's actors share: chance, a count of what was done, what went wrong, and the end.

Bytes that go to and fro are parts of one long sequence, from any place in it on: so whoever gets
them sees at once that some are lost, doubled or torn, and where.
"""

import random
import time
from collections import Counter
from collections.abc import Callable

import fibril

PART_MAX = 65536
_PERIOD = 65_521  # a prime: no buffer's size divides it
_SEQUENCE = random.Random(1).randbytes(_PERIOD) * 3


def part_of(place: int, size: int) -> bytes:
    """So many bytes of the sequence, PART_MAX at most."""
    begin = place % _PERIOD
    return _SEQUENCE[begin : begin + size]


class Check:
    """Whoever gets bytes of the sequence."""

    def __init__(self, world: "World", place: int) -> None:
        self.world = world
        self.place = place
        self.got = 0

    def take(self, data: bytes) -> None:
        if data != part_of(self.place + self.got, len(data)):
            self.world.fail(f"after {self.got} bytes others came than were sent")
        self.got += len(data)


class World:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.until_s = 0.0

    def is_over(self) -> bool:
        return time.monotonic() >= self.until_s or bool(self.failures)

    def fail(self, what: str) -> None:
        self.failures.append(what)

    def place(self) -> int:
        return self.chance.randrange(_PERIOD)

    def size(self) -> int:
        """Mostly few bytes, now and then many."""
        return int(PART_MAX ** self.chance.random())

    def may(self, percent: int) -> bool:
        return self.chance.randrange(100) < percent

    def strike_later(self, task: "fibril.Task", within_s: float) -> None:
        """Kill it at some time, in one of two ways."""
        reason = self.chance.choice([fibril.GreenletExit, fibril.Timeout])
        fibril.spawn_later(self.chance.random() * within_s, task.kill, reason, block=False)

    def live(
        self, act: Callable[["World"], None], expected: tuple[type[BaseException], ...]
    ) -> None:
        """Act until the end."""
        while not self.is_over():
            try:
                act(self)
            except expected as error:
                self.done[type(error).__name__] += 1
            except Exception as error:
                self.fail(f"{act.__name__}: {error!r}")
                raise
            self.done[act.__name__] += 1
