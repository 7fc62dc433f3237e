"""Long steps of many tasks, one between two looks at the kernel.

The idea: a task that keeps the thread for long holds up whoever becomes ready; a thousand of them,
all ready, hold him up a thousand times. So they stand in line outside the ready queue, and the hub
lets one go when it has asked the kernel and its own turn has come: between two steps everybody runs
who is ready. (A timer would overtake: see csrc/core/ready.c.)

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

    __slots__ = ("_hub", "_line")

    def __init__(self, hub: _core.Hub) -> None:
        self._hub = hub
        self._line = _core.Semaphore(1)

    def take(self) -> None:
        """Wait until nobody else has had it since the hub last looked at the kernel."""
        self._line.acquire()
        self._hub.call_soon(self._line.release)
        _core.look_soon()
