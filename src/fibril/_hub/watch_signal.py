"""Being called back at a signal of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fibril._hub import signals
from fibril._hub.watcher import Watcher

if TYPE_CHECKING:
    from fibril._hub.loop import Loop

__all__ = ["SignalWatcher"]


class SignalWatcher(Watcher):
    """Calls back when the process gets a signal: at once, also while everybody is parked.

    Python's own handler is in its place meanwhile, and back afterwards.

    Switches: never. Threads: owner, which must be the main thread.
    """

    def __init__(
        self, loop: Loop, signalnum: int, ref: bool = True, priority: int | None = None
    ) -> None:
        super().__init__(loop, ref, priority)
        self.signalnum = signals.checked(signalnum)

    def _begin(self) -> None:
        signals.listen(self.signalnum, self._post)

    def _end(self) -> None:
        signals.unlisten(self.signalnum, self._post)

    def _details(self) -> str:
        return f" signal={self.signalnum}"
