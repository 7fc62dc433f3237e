"""fork, and what gevent's programs call around it.

The idea: fibril prepares the child of every fork by itself (os.register_at_fork), so a fork is the
operating system's and nothing must be called afterwards. The child has the forking fiber only.
Do not add: waiting for children (fibril._io.children).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fibril import _core

__all__ = ["fork", "reinit"]


def fork() -> int:
    """Fork the process: return 0 in the child, the child's number in the parent.

    The child has the forking fiber only, as POSIX has it for threads; other tasks stay behind, and
    timers and watchers of the loop go on. The same as os.fork(), which programs may call as well.

    Switches: never. Threads: any. Raises OSError.

    >>> import os, fibril
    >>> child = fibril.fork()
    >>> if child == 0:
    ...     os._exit(3)
    >>> os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    3
    """
    return os.fork()


def reinit(hub: _core.Hub | None = None) -> None:
    """Do nothing: what gevent must do in the child of a fork, fibril has done when fork() returns.

    Switches: never. Threads: any.
    """
