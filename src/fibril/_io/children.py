"""Waiting for child processes: the calls of `os`, which let other tasks run meanwhile.

The idea: the kernel is asked with WNOHANG, in the very call that the program made, so it decides
whose child that is, and nobody else's is reaped. Between two such calls the task waits for a pidfd:
of the one child that is meant, or of all that there are. No signal handler has a part in it.

A pidfd tells of the end only. Of a child that stops or goes on (WUNTRACED, WCONTINUED), and of one
that another task starts while any is waited for, nobody tells: for those the kernel is asked again
after pauses, which begin at a millisecond and grow to fifty.

A child that is watched (fork_and_watch) is reaped by its watcher, and what became of it is kept for
a minute, for who asks by its number.
Do not add: starting children.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from select import EPOLLIN
from typing import Any, TypeVar

from fibril import _core, native
from fibril._builtin import builtin
from fibril._io.retry import Pauses
from fibril.timeout import Deadline

__all__ = ["wait", "wait3", "wait4", "wait_for_end", "waitid", "waitpid", "watch"]

_R = TypeVar("_R")
_close = os.close
_native_waitpid, _native_wait3, _native_wait4 = os.waitpid, os.wait3, os.wait4
_native_waitid = os.waitid
_pidfd_open = os.pidfd_open  # as it is now: tests put others into `os` for a while
_CHANGES = os.WUNTRACED | os.WCONTINUED  # of waitid, too: WSTOPPED is WUNTRACED


@builtin
def waitpid(pid: int, options: int, /) -> tuple[int, int]:
    """Wait for a child, or any; return (pid, status), as os.waitpid.

    Switches: if it must wait. Threads: any. Raises ChildProcessError if there is no such child.
    """
    watched = _watched.get(pid)
    if watched is not None:
        return watched.wait(options)
    if options & os.WNOHANG:
        return _native_waitpid(pid, options)
    asked = options | os.WNOHANG
    return _until(lambda: _if_any(_native_waitpid(pid, asked)), pid, options)


@builtin
def wait() -> tuple[int, int]:
    """Wait for any child; return (pid, status), as os.wait.

    Switches: if it must wait. Threads: any. Raises ChildProcessError if there is none.
    """
    return waitpid(-1, 0)


@builtin
def wait3(options: int) -> tuple[int, int, Any]:
    """Wait for any child; return (pid, status, resource usage), as os.wait3.

    Switches: if it must wait. Threads: any. Raises ChildProcessError if there is none.
    """
    if options & os.WNOHANG:
        return _native_wait3(options)
    asked = options | os.WNOHANG
    return _until(lambda: _if_any(_native_wait3(asked)), -1, options)


@builtin
def wait4(pid: int, options: int) -> tuple[int, int, Any]:
    """Wait for a child, or any; return (pid, status, resource usage), as os.wait4.

    Switches: if it must wait. Threads: any. Raises ChildProcessError if there is no such child.
    """
    if options & os.WNOHANG:
        return _native_wait4(pid, options)
    asked = options | os.WNOHANG
    return _until(lambda: _if_any(_native_wait4(pid, asked)), pid, options)


@builtin
def waitid(idtype: int, id: int, options: int, /) -> os.waitid_result | None:  # its name there
    """Wait for a child, or any; return what became of it, as os.waitid.

    Switches: if it must wait. Threads: any. Raises ChildProcessError if there is no such child.
    """
    if options & os.WNOHANG:
        return _native_waitid(idtype, id, options)
    asked = options | os.WNOHANG
    pid = id if idtype == os.P_PID else -1
    changes = options & _CHANGES
    return _until(lambda: _native_waitid(idtype, id, asked), pid, changes)


def _if_any(result: _R) -> _R | None:
    return result if result[0] else None  # type: ignore[index]


def _until(ask: Callable[[], _R | None], pid: int, options: int) -> _R:
    pauses = Pauses(Deadline(None))
    while (result := ask()) is None:
        if pid > 0 and not options & _CHANGES:
            _wait_for_end(pid, pauses)
        else:
            _wait_for_any(pauses)
    return result


def wait_for_end(pid: int, deadline: Deadline) -> bool:
    """Whether a child has ended, or is none any more, before a deadline; it is not reaped.

    Switches: if it must wait. Threads: any. Raises ChildProcessError if it never was one.
    """
    pauses = Pauses(deadline)
    try:
        while _native_waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            _wait_for_end(pid, pauses, os.pidfd_open)  # as Popen does: what stands there now
    except TimeoutError:
        return False
    return True


def _wait_for_end(pid: int, pauses: Pauses, pidfd_open: Callable[[int], int] = _pidfd_open) -> None:
    """Raises TimeoutError at the deadline."""
    try:
        pidfd = pidfd_open(pid)
    except ProcessLookupError:
        return  # another task has reaped it, and the kernel will say so
    except OSError:
        pauses.wait()  # none left, or a sandbox that knows no pidfd
        return
    try:
        if not _core.wait_read(pidfd, pauses.deadline.remaining_s()):
            raise TimeoutError("timed out")
    finally:
        _core.fd_forget(pidfd)
        _close(pidfd)


def _wait_for_any(pauses: Pauses) -> None:
    """Until one of the children has ended, but no longer than the next pause is."""
    try:
        poller = native.epoll()
    except OSError:
        pauses.wait()
        return
    pidfds = list(_pidfds())
    try:
        for pidfd in pidfds:
            poller.register(pidfd, EPOLLIN)
        _core.wait_read(poller.fileno(), pauses.next_s())
    finally:
        _core.fd_forget(poller.fileno())
        poller.close()
        for pidfd in pidfds:
            _close(pidfd)


def _pidfds() -> Iterator[int]:
    """Of all children, as far as the kernel and the limit of descriptors allow."""
    try:
        threads = os.listdir("/proc/self/task")
    except OSError:
        return  # there is no /proc here
    for thread in threads:
        try:
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as file:
                children = file.read().split()
        except OSError:
            continue  # the thread has ended, or the kernel was made without that file
        for child in children:
            try:
                yield _pidfd_open(int(child))
            except OSError:
                continue


# ---- children that are watched ----

_KEPT_S = 60.0  # for so long it is known what became of one


class _Watched:
    """A child that its watcher reaps."""

    def __init__(self, pid: int, callback: Callable[[Any], object] | None) -> None:
        self.pid = pid
        self.ended = _core.Event()
        self.status = 0
        self.since_s = 0.0
        self._callback = callback

    def end(self, watcher: Any) -> None:
        """Called by the watcher, in the hub."""
        self.status, self.since_s = watcher.rstatus, time.monotonic()
        self.ended.set()
        for other in list(_watched.values()):
            if other.ended.is_set() and self.since_s - other.since_s > _KEPT_S:
                _watched.pop(other.pid, None)
        if self._callback is not None:
            self._callback(watcher)

    def wait(self, options: int) -> tuple[int, int]:
        """As waitpid(); whoever asks first gets to know."""
        if options & os.WNOHANG and not self.ended.is_set():
            return 0, 0
        hub = _core.get_hub()
        hub.keep(1)  # the watcher may not count, but a child ends some day
        try:
            self.ended.wait()
        finally:
            hub.keep(-1)
        if _watched.pop(self.pid, None) is not self:
            raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))
        return self.pid, self.status


_watched: dict[int, _Watched] = {}
os.register_at_fork(after_in_child=_watched.clear)


def watch(pid: int, callback: Callable[[Any], object] | None, loop: Any, ref: bool) -> None:
    """Reap a child when it ends, and call callback(watcher) in the hub then.

    Switches: never. Threads: owner of the loop. Raises OSError.
    """
    watched = _watched[pid] = _Watched(pid, callback)
    try:
        watcher = loop.child(pid, ref=ref)
        watcher.start(watched.end, watcher)
    except BaseException:
        del _watched[pid]
        raise
