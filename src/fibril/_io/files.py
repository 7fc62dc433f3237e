"""What `os` and `fcntl` do with descriptors, letting other tasks run meanwhile; read and write are
in C (csrc/python/io/file.c).

The idea: a descriptor stays a blocking one, for whoever shares it. So what has no way to say "do
not wait" is made of calls that have: a socket is sent what was read of the file, a pipe is spliced
to. Locks of files know nothing of tasks, and the kernel does not tell when one is free: they are
tried again after pauses, as a task that waited in the kernel would keep the holder from giving
the lock back, if that is a task of the same thread.
Do not add: files with buffers.
"""

import errno
import fcntl
import os
import select
import stat
import sys
from collections.abc import Callable
from typing import Any

from fibril import _core
from fibril._builtin import builtin
from fibril._io.retry import Pauses, is_ready
from fibril.timeout import Deadline

__all__ = [
    "close",
    "dup2",
    "eventfd_read",
    "eventfd_write",
    "flock",
    "lockf",
    "os_lockf",
    "sendfile",
    "splice",
    "system",
]

_native_close, _native_dup2, _native_sendfile = os.close, os.dup2, os.sendfile
_native_splice, _native_system, _native_lockf = os.splice, os.system, os.lockf
_native_flock, _native_fcntl_lockf = fcntl.flock, fcntl.lockf
# As they are now: a program's tests put others into `os` for the while of one call.
_fstat, _get_blocking, _lseek, _pread = os.fstat, os.get_blocking, os.lseek, os.pread
_PART = 65536  # bytes read at a time for a socket
_SPLICE_NONBLOCK = 2


@builtin
def close(fd: int) -> None:
    """Close a descriptor; whoever waits on it is told, by OSError(EBADF).

    Switches: never. Threads: any. Raises OSError.
    """
    if isinstance(fd, int) and fd >= 0:
        _core.fd_forget(fd)
    _native_close(fd)


@builtin
def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
    """Make fd2 a duplicate of fd; whoever waits on what fd2 was is told, by OSError(EBADF).

    Switches: never. Threads: any. Raises OSError.
    """
    if isinstance(fd2, int) and fd2 >= 0 and fd2 != fd:
        _core.fd_forget(fd2)
    return _native_dup2(fd, fd2, inheritable)


# ---- from one descriptor to another ----


@builtin
def sendfile(out_fd: int, in_fd: int, offset: int | None, count: int) -> int:
    """Send `count` bytes of a file, or what it has, from `offset` on; how many, as os.sendfile.

    offset: None for the file's own position, which moves on.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    if not _get_blocking(out_fd) or _is_on_disk(out_fd):
        return _native_sendfile(out_fd, in_fd, offset, count)
    place = _lseek(in_fd, 0, os.SEEK_CUR) if offset is None else offset
    done = 0
    while done < count:
        part = _pread(in_fd, min(count - done, _PART), place + done)
        sent = _core.write(out_fd, part)
        done += sent
        if not part or sent < len(part):
            break  # its end, or a kill that has to wait until the caller knows how much was sent
    if offset is None:
        _lseek(in_fd, place + done, os.SEEK_SET)
    return done


@builtin
def splice(
    src: int,
    dst: int,
    count: int,
    offset_src: int | None = None,
    offset_dst: int | None = None,
    flags: int = 0,
) -> int:
    """Move up to `count` bytes from or to a pipe; how many, as os.splice.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    arguments: dict[str, Any] = {"offset_src": offset_src, "offset_dst": offset_dst}
    if flags & _SPLICE_NONBLOCK:
        return _native_splice(src, dst, count, flags=flags, **arguments)
    if stat.S_ISSOCK(_fstat(dst).st_mode):  # a blocking one waits until it has taken all of it
        _core.wait_write(dst)
        count = min(count, select.PIPE_BUF)
    while True:
        try:
            return _native_splice(src, dst, count, flags=flags | _SPLICE_NONBLOCK, **arguments)
        except BlockingIOError:
            if not (_get_blocking(src) and _get_blocking(dst)):
                raise
        if is_ready(src, select.POLLIN):
            _core.wait_write(dst)
        else:
            _core.wait_read(src)


def _is_on_disk(fd: int) -> bool:
    mode = _fstat(fd).st_mode
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)


# ---- eventfds ----


@builtin
def eventfd_read(fd: int) -> int:
    """Take the value of an eventfd, when it is not 0, as os.eventfd_read.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    return int.from_bytes(_core.read(fd, 8), sys.byteorder)


@builtin
def eventfd_write(fd: int, value: int) -> None:
    """Add to the value of an eventfd, when there is room, as os.eventfd_write.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    _core.write(fd, value.to_bytes(8, sys.byteorder))


# ---- locks of files ----


@builtin
def flock(fd: Any, operation: int, /) -> None:
    """Lock or unlock a file, as fcntl.flock.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    if operation & (fcntl.LOCK_NB | fcntl.LOCK_UN):
        _native_flock(fd, operation)
        return
    _until_free(lambda: _native_flock(fd, operation | fcntl.LOCK_NB))


@builtin
def lockf(fd: Any, cmd: int, len: int = 0, start: int = 0, whence: int = 0, /) -> None:
    """Lock or unlock a part of a file, as fcntl.lockf.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    if cmd & (fcntl.LOCK_NB | fcntl.LOCK_UN):
        _native_fcntl_lockf(fd, cmd, len, start, whence)
        return
    _until_free(lambda: _native_fcntl_lockf(fd, cmd | fcntl.LOCK_NB, len, start, whence))


@builtin
def os_lockf(fd: int, command: int, length: int, /) -> None:
    """Lock or unlock a part of a file from its position on, as os.lockf.

    Switches: if it must wait. Threads: any. Raises OSError.
    """
    if command != os.F_LOCK:
        _native_lockf(fd, command, length)
        return
    _until_free(lambda: _native_lockf(fd, os.F_TLOCK, length))


def _until_free(lock: Callable[[], None]) -> None:
    pauses = Pauses(Deadline(None))
    while True:
        try:
            lock()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):  # POSIX allows either
                raise
            pauses.wait()
        else:
            return


# ---- a shell ----


@builtin
def system(command: Any) -> int:
    """Run a command in a shell; its wait status, as os.system.

    In a native thread: SIGINT and SIGQUIT are ignored meanwhile, as the C library has it.

    Switches: always. Threads: any.
    """
    from fibril.threadpool import offload  # what few programs need

    return int(offload(_native_system, command))
