"""fork, and what gevent's programs call around it.

The idea: fibril prepares the child of every fork by itself (os.register_at_fork), so a fork is the
operating system's and nothing must be called afterwards. The child has the forking fiber only.
Do not add: waiting for children (fibril._io.children).
"""

from __future__ import annotations

import os

from fibril import _core

__all__ = ["fork", "reinit"]


def fork(keep: bool = False) -> int:
    """Fork the process: return 0 in the child, the child's number in the parent.

    The child has the forking fiber only, as POSIX has it for threads; other tasks stay behind, and
    timers and watchers of the loop go on. The same as os.fork(), which programs may call as well.

    keep: all fibers of this native thread go on in the child, too, each from where it is, as
    gevent's do. So both processes do what they were about to do, with the same descriptors. Who
    waits for another native thread there (a pool's), or for what such a one has, waits for ever,
    and `threading` counts all other threads as ended.

    Switches: never. Threads: any. Raises OSError.

    >>> import os, fibril
    >>> child = fibril.fork()
    >>> if child == 0:
    ...     os._exit(3)
    >>> os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    3
    """
    _core.keep_next_fork(keep)
    try:
        return os.fork()
    finally:
        _core.keep_next_fork(False)


def reinit(hub: _core.Hub | None = None) -> None:
    """Do nothing: what gevent must do in the child of a fork, fibril has done when fork() returns.

    Switches: never. Threads: any.
    """
