"""How much memory the process uses, and telling when it is more than it may be.

The idea: the system is asked (/proc, no package is needed), and each look is compared with the one
before, so that who subscribes is told when it grows above the limit, while it grows on, and once
when it is below again.

Threads: any; the looks are taken in a monitor's own.
Do not add: what to do about it.
"""

import os

from fibril._hub.events import MemoryUsageThresholdExceeded, MemoryUsageUnderThreshold, notify

__all__ = ["PERIOD_MIN_S", "MemoryInfo", "MemoryWatch", "look"]

PERIOD_MIN_S = 2.0  # a look walks the whole address space
max_bytes: int | None = None  # what the process may use; None: no limit
period_s = 5.0

_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryInfo:
    """In bytes: `rss`, what is in memory, `vms`, the addresses, and `uss`, what nobody shares."""

    def __init__(self, rss: int, vms: int, uss: int) -> None:
        self.rss, self.vms, self.uss = rss, vms, uss

    def __repr__(self) -> str:
        return f"MemoryInfo(rss={self.rss}, vms={self.vms}, uss={self.uss})"


def look() -> MemoryInfo:
    """What the process uses now; `uss` is 0 where the system does not tell it.

    Switches: never. Threads: any.
    """
    with open("/proc/self/statm", encoding="ascii") as file:
        vms, rss = map(int, file.read().split()[:2])
    uss = 0
    try:
        with open("/proc/self/smaps_rollup", encoding="ascii") as file:
            uss = sum(int(line.split()[1]) << 10 for line in file if line.startswith("Private_"))
    except OSError:
        pass  # an older kernel
    return MemoryInfo(rss * _PAGE, vms * _PAGE, uss)


class MemoryWatch:
    """Compares one look with the next."""

    def __init__(self) -> None:
        self._exceeded = 0  # what was used at the last look, if that was too much

    def look(self) -> object:
        """Look, and tell; the event, or None.

        Switches: never. Threads: any.
        """
        if not max_bytes:
            return None
        info = look()
        used, before = info.uss or info.rss, self._exceeded
        event: object = None
        self._exceeded = used if used > max_bytes else 0
        if used > max(max_bytes, before):
            event = MemoryUsageThresholdExceeded(used, max_bytes, info)
        elif before and used <= max_bytes:
            event = MemoryUsageUnderThreshold(used, max_bytes, info, before)
        if event is not None:
            notify(event)
        return event
