"""Being called back when a file has changed: it is looked at now and then."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fibril import _core
from fibril._hub.watcher import Watcher

if TYPE_CHECKING:
    from fibril._hub.loop import Loop

__all__ = ["StatWatcher"]

_STAT_INTERVAL_S = 5.0
_STAT_INTERVAL_S_MIN = 0.1


class StatWatcher(Watcher):
    """Calls back when what os.stat() tells of a path has changed; looks each `interval` seconds.

    `attr` is what it tells now, `prev` what it told before the change; None: there is no such file.
    An interval of 0 is five seconds, and the least is a tenth of one.

    Switches: never. Threads: owner.
    """

    def __init__(
        self,
        loop: Loop,
        path: str | bytes,
        interval: float = 0.0,
        ref: bool = True,
        priority: int | None = None,
    ) -> None:
        super().__init__(loop, ref, priority)
        self.path = path
        self.interval = float(interval)
        self.attr: os.stat_result | None = None
        self.prev: os.stat_result | None = None
        self._native: _core.Timer | None = None  # while active: it has us

    def _stat(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)
        except OSError:
            return None

    def _begin(self) -> None:
        if self.interval == 0.0:
            self.interval = _STAT_INTERVAL_S
        self.interval = max(self.interval, _STAT_INTERVAL_S_MIN)
        self.attr = self.prev = self._stat()
        self._native = native = _core.Timer(self.loop.hub, self._look)
        native.ref = self._ref
        native.start(self.interval)

    def _end(self) -> None:
        if self._native is not None:
            self._native.cancel()
        self._native = None

    def _count(self, change: int) -> None:
        if self._native is not None:
            self._native.ref = self._ref

    def _forked(self) -> None:
        """The clock goes on."""

    def _look(self, ready: int) -> None:
        if self._native is not None:
            self._native.start(self.interval)
        now = self._stat()
        if _told(now) == _told(self.attr):
            return
        self.prev, self.attr = self.attr, now
        self._call(self._args or ())

    def _details(self) -> str:
        return f" path={self.path!r} interval={self.interval}"


def _told(stat: os.stat_result | None) -> tuple[int, ...] | None:
    """What is compared: all, with the times to the nanosecond."""
    if stat is None:
        return None
    return (*stat[:7], stat.st_atime_ns, stat.st_mtime_ns, stat.st_ctime_ns)
