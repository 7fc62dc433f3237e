"""Being called back at the end of a child process: its pidfd is readable then."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from fibril import _core
from fibril._hub.watcher import READ, Watcher

if TYPE_CHECKING:
    from fibril._hub.loop import Loop

__all__ = ["ChildWatcher"]


class ChildWatcher(Watcher):
    """Calls back when a child process has ended, and reaps it: then it is stopped.

    `pid` is whom it waits for; `rpid` and `rstatus` are what waitpid() said, 0 before. If somebody
    else has reaped the child, its status is lost: `rstatus` is that of exit(255), with a warning.

    Switches: never. Threads: owner.
    """

    def __init__(self, loop: Loop, pid: int, trace: int = 0, ref: bool = True) -> None:
        if pid <= 0:
            raise ValueError(
                f"cannot watch the process {pid}: fibril waits for one child by its pidfd, and "
                "there is none for any child or a group. Give each child a watcher."
            )
        super().__init__(loop, ref)
        self.pid = pid
        self.rpid = 0
        self.rstatus = 0
        self._native: _core.Watch | None = None
        self._pidfd = -1

    def _begin(self) -> None:
        pidfd = os.pidfd_open(self.pid)
        try:
            native = _core.Watch(self.loop.hub, pidfd, READ, self._ended)
            native.ref = self._ref
            native.start()
        except BaseException:
            os.close(pidfd)
            raise
        self._native, self._pidfd = native, pidfd

    def _end(self) -> None:
        if self._native is not None:
            self._native.cancel()
        self._native = None
        _core.fd_forget(self._pidfd)
        os.close(self._pidfd)

    def _count(self, change: int) -> None:
        if self._native is not None:
            self._native.ref = self._ref

    def _forked(self) -> None:
        self.stop()  # it is a child of the parent process, not of this one

    def _ended(self, ready: int) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, 255 << 8
            warnings.warn(
                f"the status of child process {pid} is lost: somebody else has waited for it",
                RuntimeWarning,
                stacklevel=1,
            )
        if pid == 0:  # it has only changed its state
            if self._native is not None:
                self._native.want()
            return
        self.rpid, self.rstatus = pid, status
        self._deactivate()
        self._call(self._args or ())

    @property
    def pending(self) -> bool:
        """It has ended, and the hub has not called yet."""
        return self._is_posted or (self._native is not None and self._native.pending)

    def _details(self) -> str:
        return f" pid={self.pid} rpid={self.rpid} rstatus={self.rstatus}"
