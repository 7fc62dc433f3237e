"""gevent.os, served by fibril."""

import os as _stdlib
from os import posix_spawn, posix_spawnp

from fibril.os import (
    close,
    fork,
    fork_and_watch,
    forkpty,
    forkpty_and_watch,
    make_nonblocking,
    nb_read,
    nb_write,
    tp_read,
    tp_write,
    waitpid,
)

fork_gevent, forkpty_gevent = fork, forkpty

__implements__ = ["close", "fork", "forkpty", "posix_spawn", "posix_spawnp", "waitpid"]
__extensions__ = [
    "fork_and_watch",
    "fork_gevent",
    "forkpty_and_watch",
    "forkpty_gevent",
    "make_nonblocking",
    "nb_read",
    "nb_write",
    "tp_read",
    "tp_write",
]
__all__ = [
    "close",
    "fork",
    "fork_and_watch",
    "fork_gevent",
    "forkpty",
    "forkpty_and_watch",
    "forkpty_gevent",
    "make_nonblocking",
    "nb_read",
    "nb_write",
    "posix_spawn",
    "posix_spawnp",
    "tp_read",
    "tp_write",
    "waitpid",
]
# What the standard library's has beside.
_OTHERS = {name: value for name, value in vars(_stdlib).items() if not name.startswith("__")}
globals().update({name: _OTHERS[name] for name in _OTHERS.keys() - globals().keys()})
