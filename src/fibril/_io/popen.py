"""Waiting for a process of `subprocess`: its own Popen, with a pidfd in the place of a busy loop.

Do not add: how processes are started. The standard library's way (vfork) is the fastest there is.
"""

import subprocess
from typing import Any

from fibril._io.children import wait_for_end
from fibril.timeout import Deadline

__all__ = ["Popen"]

_native_wait: Any = vars(subprocess.Popen)["_wait"]


class Popen:
    """What of `subprocess.Popen` is replaced."""

    def _wait(self: Any, timeout: float | None) -> Any:
        """Wait for the process without its lock, so that others may ask for it meanwhile."""
        if self.returncode is None:
            try:
                if not wait_for_end(self.pid, Deadline(timeout)):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
            except ChildProcessError:
                pass  # somebody else has reaped it: the standard library knows what that means
        return _native_wait(self, None)
