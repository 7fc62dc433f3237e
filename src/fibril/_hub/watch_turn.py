"""Being called back at the hub's turns, after a fork, or by another thread."""

from __future__ import annotations

from typing import Any

from fibril._hub.watcher import Watcher

__all__ = ["AsyncWatcher", "CheckWatcher", "ForkWatcher", "IdleWatcher", "PrepareWatcher"]


class _TurnWatcher(Watcher):
    """One that is called at each turn of the hub."""

    _place: str  # which of the loop's sets it is in

    def _begin(self) -> None:
        self.loop.turns.add(self._place, self)

    def _end(self) -> None:
        self.loop.turns.discard(self._place, self)


class PrepareWatcher(_TurnWatcher):
    """Calls back each time before the hub asks the kernel what is ready.

    Switches: never. Threads: owner.
    """

    _place = "prepare"


class CheckWatcher(_TurnWatcher):
    """Calls back each time after the hub has asked the kernel what is ready.

    Switches: never. Threads: owner.
    """

    _place = "check"


class IdleWatcher(_TurnWatcher):
    """Calls back each time there is nothing else to do. While it is active the hub never sleeps.

    Switches: never. Threads: owner.
    """

    _place = "idle"


class ForkWatcher(Watcher):
    """Calls back in the child of a fork.

    Switches: never. Threads: owner.
    """

    def _forked(self) -> None:
        super()._forked()
        self._post()


class AsyncWatcher(Watcher):
    """Calls back when somebody, in whatever thread, calls send().

    Switches: never. Threads: owner, but for send().
    """

    def send(self) -> None:
        """Have the hub call back, if it is active. For any thread, and for signal handlers."""
        if self._is_active:
            self._post()

    def send_ignoring_arg(self, _ignored: Any) -> None:
        """The same, as a callback that is told something: a link, for instance."""
        self.send()
