"""The hub's Python half: errors that nobody caught, and dead ends explained.

The hub itself is native (csrc/hub.c decides who runs, csrc/python/hub_type.c runs callbacks).
Here is what is better said in Python: printing a task's traceback once, sending KeyboardInterrupt
and SystemExit to the main fiber, and the text of LoopExit, which names every parked task, what it
waits for, and the line where it was parked.

Nothing here may block: it is called from the middle of the hub's work.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import traceback
from types import FrameType, TracebackType
from typing import NoReturn, TextIO

from weft import _core, native
from weft._core import getcurrent, sleep
from weft.errors import (
    BlockingSwitchOutError,
    GreenletExit,
    HubDestroyed,
    InvalidSwitchError,
    LoopExit,
)

__all__ = [
    "BlockingSwitchOutError",
    "GreenletExit",
    "Hub",
    "HubDestroyed",
    "InvalidSwitchError",
    "LoopExit",
    "get_hub",
    "getcurrent",
    "sleep",
]

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_REPORTED_MAX = 50


class Hub(_core.Hub):
    """One per native thread: who is ready, who waits. Get it with get_hub().

    Switches: never. Threads: owner, except call_soon_threadsafe.
    """

    #: Not printed when a fiber dies of it: the last two are raised again in the main fiber.
    NOT_ERROR: tuple[type[BaseException], ...] = (GreenletExit, SystemExit, KeyboardInterrupt)
    #: Raised again in the main fiber.
    SYSTEM_ERROR: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit, SystemError)

    @property
    def exception_stream(self) -> TextIO | None:
        """Where tracebacks are printed: sys.stderr as it is now."""
        return sys.stderr

    def handle_error(
        self,
        context: object,
        typ: type[BaseException],
        value: BaseException,
        tb: TracebackType | None,
    ) -> None:
        """An exception reached the end of `context`, a task or a callback.

        Switches: never. Threads: owner.
        """
        if not issubclass(typ, self.NOT_ERROR):
            self.print_exception(context, typ, value, tb)
        if issubclass(typ, self.SYSTEM_ERROR):
            if self.main.dead:  # it stayed in the parent process: see end_process
                self.end_process(_exit_status(value))
            _core.throw_later(self.main, value)

    def print_exception(
        self,
        context: object,
        typ: type[BaseException],
        value: BaseException,
        tb: TracebackType | None,
    ) -> None:
        """Print the traceback, and below it whose it is.

        Switches: never. Threads: owner.
        """
        stream = self.exception_stream
        if stream is None:
            return
        lines = traceback.format_exception(typ, value, tb)
        if tb is None:  # it failed before its first line: show the line that started it
            lines = _spawn_lines(context) + lines
        lines.append(f"{_describe(context)} failed with {typ.__name__}\n\n")
        stream.write("".join(lines))
        stream.flush()

    def stalled(self) -> BaseException | None:
        """Nobody is ready and nothing can make anybody ready: the exception that says so.

        None where something may still happen: a Python signal handler is installed, or another
        native thread runs that could set an event.

        Switches: never. Threads: owner.
        """
        if _may_be_woken_by_signal() or _has_other_threads():
            return None
        return LoopExit(_explain(self))

    def end_process(self, status: int = 0) -> NoReturn:
        """In the child of a fork nothing is left to run, or nothing that can go on.

        As when the last thread of a process returns: buffered output is written, and the process
        ends. Fibers that wait in vain are told of, and make the status 1.

        Switches: never. Threads: owner.
        """
        if self.parked():
            print(_explain(self), file=sys.stderr)
            status = status or 1
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(status)


def get_hub() -> Hub:
    """Return the hub of this native thread; make it if there is none.

    Switches: never. Threads: any.
    """
    return _core.get_hub()  # type: ignore[return-value]


def _describe(context: object) -> str:
    if not isinstance(context, _core.Task):
        return repr(context)
    place = context.spawned_at
    spawned = "" if place is None else ", spawned at {}:{} in {}".format(*place)
    return f"<{type(context).__name__} {context.name!r} at {id(context):#x}{spawned}>"


def _spawn_lines(context: object) -> list[str]:
    if not isinstance(context, _core.Task) or context.spawned_at is None:
        return []
    summary = traceback.FrameSummary(*context.spawned_at)
    return ["Traceback (most recent call last):\n", *traceback.format_list([summary])]


def _may_be_woken_by_signal() -> bool:
    """Has the program a handler of its own? Python's default for Ctrl-C does not count."""
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            return True
    return False


def _has_other_threads() -> bool:
    """Does another native thread run that could set an event? Idle workers cannot."""
    return native.busy_thread_count() > 1


def _explain(hub: Hub) -> str:
    lines = ["This operation would block forever: no fiber is ready, and nothing they wait for can"]
    parked = hub.parked()
    lines.append(f"happen any more. {len(parked)} fiber(s) are parked:")
    lines += [_explain_one(hub, *entry) for entry in parked[:_REPORTED_MAX]]
    if len(parked) > _REPORTED_MAX:
        lines.append(f"  … and {len(parked) - _REPORTED_MAX} more")
    return "\n".join(lines)


def _explain_one(hub: Hub, fiber: _core.Fiber, verb: str | None, subject: object | None) -> str:
    name = "main fiber" if fiber is hub.main else _name(fiber)
    waits = "was left by a switch by hand" if verb is None else f"waits {verb}"
    on = "" if subject is None else f" {_short(subject)}"
    return f"  {name} {waits}{on}, parked at {_place(_frame(fiber))}"


def _name(fiber: _core.Fiber) -> str:
    if isinstance(fiber, _core.Task):
        return f"task {fiber.name!r}"
    return f"fiber {id(fiber):#x}"


def _short(subject: object) -> str:
    try:
        text = repr(subject)
    except Exception as error:  # a user's __repr__ must not hide the report
        text = f"<{type(subject).__name__}, whose repr raises {error!r}>"
    return text if len(text) <= 100 else text[:97] + "..."


def _frame(fiber: _core.Fiber) -> FrameType | None:
    """The innermost frame that is not weft's own; the running fiber's is looked up from here."""
    frame = sys._getframe() if fiber is getcurrent() else fiber.gr_frame
    inner = frame
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame if frame is not None else inner


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "an unknown place"
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"


def _exit_status(error: BaseException) -> int:
    """What the process's status would be if `error` ended its main thread."""
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


_core.set_hub_class(Hub)
atexit.register(_core.unwind_at_exit)
os.register_at_fork(after_in_child=_core.after_fork)
