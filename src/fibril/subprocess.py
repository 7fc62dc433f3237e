"""The standard library's `subprocess`, waiting so that other tasks run.

The idea: the code is the standard library's own, which starts processes the fastest way there is
(vfork). What of it may wait reads our names for `os`, `io` and the selector, so others run
meanwhile, patched or not. Processes are waited for by their pidfds, in the place of a busy loop: no
handler of SIGCHLD, and nobody else's child is reaped.

The methods must not use `super()` without arguments: `fibril.monkey` puts them on
`subprocess.Popen`.
Do not add: how processes are started, or talked to.
"""

from __future__ import annotations

import io
import os
import subprocess as stdlib
from collections.abc import Callable
from subprocess import (
    DEVNULL,
    PIPE,
    STDOUT,
    CalledProcessError,
    CompletedProcess,
    SubprocessError,
    TimeoutExpired,
    call,
    check_call,
    check_output,
    getoutput,
    getstatusoutput,
    list2cmdline,
    run,
)
from typing import TYPE_CHECKING, Any, AnyStr

from fibril import _core, selectors
from fibril._io import children, files
from fibril._io.disk import FileIO
from fibril._io.names import Names, Overlay, reading
from fibril._io.opening import Opening
from fibril._io.streams import take_turns
from fibril.event import AsyncResult, _Link
from fibril.timeout import Deadline

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CalledProcessError",
    "CompletedProcess",
    "Popen",
    "SubprocessError",
    "TimeoutExpired",
    "call",
    "check_call",
    "check_output",
    "getoutput",
    "getstatusoutput",
    "list2cmdline",
    "run",
]


def _open_pipe(fd: int, mode: str, buffering: int = -1) -> Any:
    take_turns()
    return Opening(fd, mode, buffering).open(FileIO)


_names = Names(
    stdlib,
    os=Overlay(os, read=_core.read, write=_core.write, close=files.close, waitpid=children.waitpid),
    io=Overlay(io, open=_open_pipe),
    _PopenSelector=selectors.PollSelector,
)
_stdlib: Any = vars(stdlib.Popen)
_begin = reading(_names, _stdlib["_execute_child"])
_reap: Any = _stdlib["_wait"]


class Popen(stdlib.Popen[AnyStr]):
    """A process, as `subprocess.Popen`, whose starting, pipes and waiting let other tasks run.

    Any task, of any native thread, may wait for it, with a timeout or without, and several may.

    Switches: if it must wait. Threads: any. Raises what the standard library's does.

    >>> from fibril.subprocess import PIPE, Popen
    >>> with Popen(["cat"], stdin=PIPE, stdout=PIPE) as process:
    ...     print(process.communicate(b"to and fro"))
    (b'to and fro', None)
    >>> process.result.get()
    0
    """

    if not TYPE_CHECKING:
        __init__ = reading(_names, _stdlib["__init__"])
        _communicate = reading(_names, _stdlib["_communicate"])

    def _execute_child(self, *args: Any) -> None:
        """Start it. Who is killed before he has it leaves no process behind."""
        try:
            _begin(self, *args)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException:
            if self._child_created and self.returncode is None:  # type: ignore[attr-defined]
                self.kill()
                self.wait()
            raise

    def _wait(self, timeout: float | None) -> Any:
        """Wait for it without its lock, so that others may ask for it meanwhile."""
        if self.returncode is None:
            try:
                if not children.wait_for_end(self.pid, Deadline(timeout)):
                    raise TimeoutExpired(self.args, timeout or 0)
            except ChildProcessError:
                pass  # somebody else has reaped it: the standard library knows what that means
        return _reap(self, None)

    @property
    def result(self) -> AsyncResult[int]:
        """What has the exit status when the process has ended."""
        found: AsyncResult[int] | None = vars(self).get("_fibril_result")
        if found is None:
            found = vars(self)["_fibril_result"] = AsyncResult()
            _core.Task.spawn(lambda: found.set(self.wait()))
        return found

    def rawlink(self, callback: Callable[[Any], object]) -> None:
        """Have callback(process) called in the hub when the process has ended.

        With this a process can be given to `fibril.wait` as tasks and events are.
        """
        self.result.rawlink(_Link(callback, self))

    def unlink(self, callback: Callable[[Any], object]) -> None:
        """Take such a link back; one that is not there is no error."""
        self.result.unlink(_Link(callback, self))


if not TYPE_CHECKING:  # for checkers they are the standard library's
    call = reading(_names, stdlib.call)
    check_call = reading(_names, stdlib.check_call)
    check_output = reading(_names, stdlib.check_output)
    getoutput = reading(_names, stdlib.getoutput)
    getstatusoutput = reading(_names, stdlib.getstatusoutput)
    run = reading(_names, stdlib.run)
_names.update(
    Popen=Popen,
    call=call,
    check_output=check_output,
    getstatusoutput=getstatusoutput,
    run=run,
)
if "_communicate_io_posix" in vars(stdlib):  # from 3.15 on, a part of _communicate
    _names["_communicate_io_posix"] = reading(_names, vars(stdlib)["_communicate_io_posix"])
