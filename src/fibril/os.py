"""The calls of `os` that may wait, letting other tasks run meanwhile; fork; and gevent's names.

The idea: descriptors stay blocking ones, for whoever shares them (csrc/python/io/file.c), and
children are waited for by their pidfds (fibril._io.children). fibril prepares the child of every
fork by itself (os.register_at_fork), so a fork is the operating system's and nothing must be called
afterwards. The child has the forking fiber only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fibril import _core
from fibril._core import read, readv, write, writev
from fibril._hub.fork import fork, reinit
from fibril._io.children import wait, wait3, wait4, waitid, waitpid, watch
from fibril._io.files import (
    close,
    dup2,
    eventfd_read,
    eventfd_write,
    sendfile,
    splice,
    system,
)
from fibril._io.files import os_lockf as lockf

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from fibril._hub.loop import Loop
    from fibril._hub.watch_child import ChildWatcher

__all__ = [
    "close",
    "dup2",
    "eventfd_read",
    "eventfd_write",
    "fork",
    "fork_and_watch",
    "forkpty",
    "forkpty_and_watch",
    "lockf",
    "make_nonblocking",
    "nb_read",
    "nb_write",
    "popen",
    "read",
    "readv",
    "reinit",
    "sendfile",
    "splice",
    "system",
    "tp_read",
    "tp_write",
    "wait",
    "wait3",
    "wait4",
    "waitid",
    "waitpid",
    "write",
    "writev",
]

_native_read, _native_write = os.read, os.write


# ---- fork ----


def forkpty() -> tuple[int, int]:
    """Fork the process, the child on a terminal of its own: (0, -1) there, (pid, descriptor) here.

    Switches: never. Threads: any. Raises OSError.
    """
    return os.forkpty()


def fork_and_watch(
    callback: Callable[[ChildWatcher], object] | None = None,
    loop: Loop | None = None,
    ref: bool = False,
    fork: Callable[[], int] = fork,
) -> int:
    """Fork, and have the child reaped as soon as it ends; callback(watcher) is called in the hub.

    What became of it is in watcher.rstatus, and for a minute waitpid() of that child tells it. With
    `ref` the hub counts the child as something to wait for.

    Switches: never. Threads: owner of the loop, which is this thread's by default. Raises OSError.
    """
    from fibril.hub import get_hub

    pid = fork()
    if pid:
        watch(pid, callback, loop or get_hub().loop, ref)
    return pid


def forkpty_and_watch(
    callback: Callable[[ChildWatcher], object] | None = None,
    loop: Loop | None = None,
    ref: bool = False,
    forkpty: Callable[[], tuple[int, int]] = forkpty,
) -> tuple[int, int]:
    """The same for forkpty().

    Switches: never. Threads: owner of the loop. Raises OSError.
    """
    from fibril.hub import get_hub

    pid, terminal = forkpty()
    if pid:
        watch(pid, callback, loop or get_hub().loop, ref)
    return pid, terminal


# ---- a shell ----


def popen(cmd: str, mode: str = "r", buffering: int = -1) -> Any:
    """Run a command in a shell: a text file of what it prints ("r"), or of what it reads ("w").

    Closing that waits for its end, and returns its wait status, or None for 0, as os.popen().

    Switches: if it must wait, as do the file's methods. Threads: any. Raises what os.popen does.
    """
    from fibril.subprocess import PIPE, Popen  # it begins with what is here

    if not isinstance(cmd, str):
        raise TypeError(f"invalid cmd type ({type(cmd)}, expected string)")
    if mode not in ("r", "w"):
        raise ValueError(f"invalid mode {mode!r}")
    if not buffering:
        raise ValueError("popen() does not support unbuffered streams")
    which = "stdout" if mode == "r" else "stdin"
    pipe: dict[str, Any] = {which: PIPE}
    process: Any = Popen(cmd, shell=True, text=True, bufsize=buffering, **pipe)
    return vars(os)["_wrap_close"](getattr(process, which), process)


# ---- gevent's, for descriptors that are non-blocking, or that only a native thread may read ----


def make_nonblocking(fd: int) -> bool | None:
    """Make a descriptor non-blocking, for whoever shares it: True; None if it was.

    Switches: never. Threads: any. Raises OSError.
    """
    if not os.get_blocking(fd):
        return None
    os.set_blocking(fd, False)
    return True


def nb_read(fd: int, n: int) -> bytes:
    """Read up to n bytes of a non-blocking descriptor, when there are some; b"" at the end.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    while True:
        try:
            return _native_read(fd, n)
        except BlockingIOError:
            _core.wait_read(fd)


def nb_write(fd: int, buf: ReadableBuffer) -> int:
    """Write to a non-blocking descriptor what there is room for, when there is; how many bytes.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    while True:
        try:
            return _native_write(fd, buf)
        except BlockingIOError:
            _core.wait_write(fd)


def tp_read(fd: int, n: int) -> bytes:
    """os.read() in a native thread of the pool.

    Switches: always. Threads: any. Raises OSError.
    """
    from fibril.threadpool import offload  # pools come when they are used

    return offload(_native_read, fd, n)


def tp_write(fd: int, buf: ReadableBuffer) -> int:
    """os.write() in a native thread of the pool.

    Switches: always. Threads: any. Raises OSError.
    """
    from fibril.threadpool import offload  # pools come when they are used

    return offload(_native_write, fd, buf)
