"""What a process has of what the system gives: compared before and after."""

import gc
import os
from typing import NamedTuple

import fibril

# What an allocator keeps of its arenas differs from time to time; what leaks with each of thousands
# of connections does not stay below that.
RSS_SLACK, RSS_SLACK_BYTES = 0.1, 8 << 20


class Remains(NamedTuple):
    """At one moment, with nothing under way."""

    descriptors: int
    threads: int
    children: int
    rss_bytes: int

    def excess_of(self, later: "Remains") -> list[str]:
        """What there is more of later."""
        bound = int(self.rss_bytes * (1 + RSS_SLACK)) + RSS_SLACK_BYTES
        limits = self._replace(rss_bytes=bound)
        return [
            f"{name}: {after:,} where there were {before:,}"
            for name, before, limit, after in zip(self._fields, self, limits, later, strict=True)
            if after > limit
        ]


def remains() -> Remains:
    for _ in range(3):  # what a destructor leaves to the next
        gc.collect()
        fibril.sleep(0.05)
    fibril.get_hub().trim()
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return Remains(
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        _children(),
        pages * os.sysconf("SC_PAGESIZE"),
    )


def _children() -> int:
    """Also those that have ended and were not waited for."""
    count = 0
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
            count += len(file.read().split())
    return count
