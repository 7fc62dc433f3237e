"""Long steps of many tasks, one between two looks at the kernel.

The idea: a task that keeps the thread for long holds up whoever becomes ready; a thousand of them,
all ready, hold him up a thousand times. So they stand in line outside the ready queue, and each
turn of the hub lets one go: between two steps everybody runs who is ready.

Invariant: the hub gives the turn on, not who had it: he may be killed, or wait, in his step.
Do not add: what the steps are.
"""

from __future__ import annotations

from fibril import _core

__all__ = ["Turn"]


class Turn:
    """What the tasks of one thread take, each before a long step.

    Switches: if it must wait. Threads: owner.
    """

    __slots__ = ("_line", "_timer")

    def __init__(self, hub: _core.Hub) -> None:
        self._line = line = _core.Semaphore(1)
        self._timer = _core.Timer(hub, lambda _: line.release())

    def take(self) -> None:
        """Wait until nobody else has had it since the hub last looked at the kernel."""
        self._line.acquire()
        self._timer.start(0)
        _core.look_soon()
