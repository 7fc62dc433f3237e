"""Who is called at the hub's turns: before it asks the kernel, after, and when nothing is to do.

The idea: the hub asks turn_begins() and turn_ends() around each look at the kernel, but only while
somebody is listed here, so nobody else pays for it. What is listed is told, and runs in the hub
like any callback: so what a "prepare" starts is seen before the hub sleeps.

Invariant: between two looks at the kernel each "prepare" is told once.
Threads: the hub's own; nothing here may block.
"""

from __future__ import annotations

from typing import Protocol

from fibril import _core

__all__ = ["Turns"]


class _Told(Protocol):
    def _post(self) -> None: ...


class Turns:
    """The "prepare", "check" and "idle" watchers of one hub.

    Switches: never. Threads: owner.
    """

    def __init__(self, hub: _core.Hub) -> None:
        self._hub = hub
        # Dictionaries of nothing: sets that keep their order.
        self._listed: dict[str, dict[_Told, None]] = {"prepare": {}, "check": {}, "idle": {}}
        self._is_prepared = False  # since the last look at the kernel
        self._will_ask = False  # this turn is not only there to let the prepared ones run

    def add(self, place: str, watcher: _Told) -> None:
        """Tell it at each turn from now on."""
        self._listed[place][watcher] = None
        self._hub.observe(True)

    def discard(self, place: str, watcher: _Told) -> None:
        """Tell it no more."""
        self._listed[place].pop(watcher, None)
        self._hub.observe(any(self._listed.values()))

    def move(self, hub: _core.Hub) -> None:
        """Another hub has taken the place of the one that was."""
        self._hub = hub
        hub.observe(any(self._listed.values()))

    def _tell(self, place: str) -> None:
        for watcher in tuple(self._listed[place]):
            watcher._post()

    def begins(self) -> bool:
        """The hub will ask the kernel; True: it must not sleep there."""
        self._will_ask = self._is_prepared or not self._listed["prepare"]
        if not self._will_ask:
            self._is_prepared = True
            self._tell("prepare")
            return True
        return bool(self._listed["idle"])

    def ends(self) -> None:
        """The hub has asked the kernel, and whoever it named is ready."""
        if not self._will_ask:
            return
        self._is_prepared = False
        is_idle = not self._hub.has_ready()
        self._tell("check")
        if is_idle:
            self._tell("idle")
