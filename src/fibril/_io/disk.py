"""Files on disks that keep nobody from running: what waits for a disk does so in a native thread.

The idea: what is in memory needs no thread (csrc/python/io/stream/disk.c); the rest is done by a
thread of the pool, and the task waits for its end, whatever is thrown at it: a disk answers some
time, and nobody's buffer, descriptor or position is changed behind his back. What was thrown is met
at the task's next wait.

A named pipe is opened in a thread of its own: that waits until somebody opens the other end, which
may be never, and must not take one of the pool's.
Do not add: buffers (fibril._io.opening).
"""

import importlib
import io
import os
import stat
from collections.abc import Callable
from typing import Any

from fibril import _core
from fibril._builtin import builtin

__all__ = ["FileIO", "fdatasync", "fsync", "in_pool", "open_descriptor", "open_file", "serve_all"]

_native_open, _native_fsync, _native_fdatasync = os.open, os.fsync, os.fdatasync


def in_pool(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args) in a native thread of the pool, waited for to its end.

    Where nobody may wait, as in the hub's own code, it is called at once.

    Switches: always, but in a thread of the pool. Threads: any. Raises what the function raises.
    """
    if not _core.may_wait():
        return function(*args)
    pool: Any = _core.get_hub().threadpool  # type: ignore[attr-defined]
    return pool._apply_to_the_end(function, args)


class FileIO(io.FileIO):
    """An io.FileIO that lets other tasks run while it waits, for a disk as well.

    Switches: if it must wait. Threads: any.
    """

    def __init__(
        self, file: Any, mode: str = "r", closefd: bool = True, opener: Any = None
    ) -> None:
        if opener is None and not isinstance(file, int):
            opener = _open_in_pool
        super().__init__(file, mode, closefd, opener)


for _name, _method in _core.raw_file_methods(io.FileIO, in_pool).items():
    setattr(FileIO, _name, _method)
_core.raw_file_type(FileIO)
_is_serving: list[bool] = []  # every file of the process, once it is not empty


def serve_all() -> None:
    """From now on every file on a disk is served, io.FileIO's and whatever opens it.

    Switches: never. Threads: any.
    """
    for name in ("threads", "workers"):  # or opening their files would need them
        importlib.import_module(f"fibril.dispatch.{name}")
    _is_serving.append(True)
    _core.serve_disks()


# ---- opening ----


@builtin
def open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """os.open(), which lets others run while it waits for the other end of a named pipe.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    if not flags & os.O_NONBLOCK and _is_pipe(path, dir_fd):
        return _open_pipe(path, flags, mode, dir_fd)
    if _is_serving:
        return int(in_pool(lambda: _native_open(path, flags, mode, dir_fd=dir_fd)))
    return _native_open(path, flags, mode, dir_fd=dir_fd)


def open_file(original: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """io.open(), whose original is given; what it opens by a name is opened as above.

    Switches: if it must wait. Threads: any. Raises what io.open raises.
    """
    path = args[0] if args else options.get("file")
    is_name = isinstance(path, str | bytes | os.PathLike)
    has_opener = len(args) > 7 or options.get("opener") is not None
    if not is_name or has_opener:
        return original(*args, **options)
    if _is_serving:
        return original(*args, **{**options, "opener": _open_in_pool})
    if _is_pipe(path, None):
        return original(*args, **{**options, "opener": _open_pipe})
    return original(*args, **options)


def _open_in_pool(path: Any, flags: int) -> int:
    if _is_pipe(path, None):
        return _open_pipe(path, flags)
    return int(in_pool(_native_open, path, flags, 0o666))


def _is_pipe(path: Any, dir_fd: int | None) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path, dir_fd=dir_fd).st_mode)
    except (OSError, ValueError, TypeError):
        return False  # opening it will say so


class _Opening:
    """A named pipe that a native thread opens; whoever comes last has the descriptor."""

    def __init__(self, *args: Any) -> None:
        self._args = args
        self._opened: list[int] = []
        self._is_given_up = False

    def open(self) -> None:
        """In the native thread."""
        path, flags, mode, dir_fd = self._args
        self._opened.append(_native_open(path, flags, mode, dir_fd=dir_fd))
        if self._is_given_up:
            self.close()

    def take(self) -> int:
        return self._opened.pop()

    def close(self) -> None:
        self._is_given_up = True
        try:
            os.close(self._opened.pop())
        except IndexError:
            pass  # not opened yet, or the other one has closed it


def _open_pipe(path: Any, flags: int, mode: int = 0o666, dir_fd: int | None = None) -> int:
    from fibril.threadpool import ThreadPool  # what few programs need

    opening = _Opening(path, flags, mode, dir_fd)
    try:
        ThreadPool(1).apply(opening.open)
    except BaseException:
        opening.close()
        raise
    return opening.take()


# ---- to the disk ----


@builtin
def fsync(fd: Any) -> None:
    """os.fsync(), in a native thread.

    Switches: always. Threads: any. Raises OSError.
    """
    in_pool(_native_fsync, fd)


@builtin
def fdatasync(fd: Any) -> None:
    """os.fdatasync(), in a native thread.

    Switches: always. Threads: any. Raises OSError.
    """
    in_pool(_native_fdatasync, fd)
