"""What is told of a task that keeps its thread from all others for long.

The idea: fibers give way by themselves, so one that computes, or blocks in a call that fibril does
not know of, stops all others of its thread, and nothing shows whose fault it is. The native
watchdog (csrc: watchdog.c) sees it and calls tell() in a thread of its own while it lasts.

Each place is told once: a server that has one slow handler has one line in its log, not thousands.
Invariant: tell() never waits for a fiber, and holds no lock while it writes.
Do not add: measures against it. A fiber cannot be interrupted.
"""

from __future__ import annotations

import atexit
import os
import sys
from types import FrameType

from fibril import _core
from fibril._hub.report import format_stack, name

__all__ = ["report_blocking", "set_blocking_limit", "set_printing", "tell"]

_PLACES_MAX = 1000
_told: set[int] = set()
_is_printing = True


def set_blocking_limit(seconds: float) -> float:
    """Set how long a fiber may keep its thread before that is reported; return the former limit.

    seconds: 1 unless set here or in the environment variable FIBRIL_BLOCKING_LIMIT; 0: nothing is
    reported. The report is a warning on stderr with the fiber's stack, once for each place, and
    only where another fiber of the thread could have run meanwhile. A subclass of fibril.hub.Hub
    may have a report_blocking of its own.

    Switches: never. Threads: any; it holds for all. Raises ValueError for what is no such time.

    >>> from fibril.hub import set_blocking_limit
    >>> former = set_blocking_limit(0.5)
    >>> set_blocking_limit(former)
    0.5
    """
    return _core.watchdog_limit(seconds)


def tell(hub: _core.Hub | None, fiber: _core.Fiber, thread_id: int, seconds: float) -> None:
    """Report that `fiber` has kept the native thread `thread_id` for so long.

    Switches: never. Threads: any; it is called in the watchdog's own.
    """
    frame = sys._current_frames().get(thread_id)
    place = _place(frame)
    if place in _told:
        return
    if len(_told) < _PLACES_MAX:
        _told.add(place)
    lines = _lines(fiber, seconds, frame)
    _notify(hub, fiber, seconds, lines)
    report = getattr(hub, "report_blocking", report_blocking)
    if report is report_blocking:
        _write(lines)
    else:
        report(fiber, seconds, frame)


def _notify(hub: _core.Hub | None, fiber: _core.Fiber, seconds: float, lines: list[str]) -> None:
    """Nobody can have subscribed who has not imported the one or the other."""
    if "fibril._hub.events" not in sys.modules and "zope.event" not in sys.modules:
        return
    from fibril._hub.events import EventLoopBlocked, notify

    try:
        notify(EventLoopBlocked(fiber, seconds, lines, hub=hub))
    except BaseException:  # whatever it is, nobody else is there to see it
        sys.excepthook(*sys.exc_info())


def set_printing(is_printing: bool) -> None:
    """Whether reports are written to stderr; who has subscribed to events is told all the same.

    Switches: never. Threads: any; it holds for all.
    """
    global _is_printing
    _is_printing = is_printing


def report_blocking(fiber: _core.Fiber, seconds: float, frame: FrameType | None) -> None:
    """Write to stderr that a fiber has kept its thread for `seconds`, and where it is.

    Switches: never. Threads: any.
    """
    _write(_lines(fiber, seconds, frame))


def _lines(fiber: _core.Fiber, seconds: float, frame: FrameType | None) -> list[str]:
    stack = "".join(format_stack(frame)) or "  (no Python frames)\n"
    return (
        f"fibril: {name(fiber)} has kept its thread for {seconds:.1f} s, and others could have "
        "run.\nIf it computes, call fibril.sleep(0) now and then; if it waits in a call that "
        "fibril does\nnot know of, use fibril.offload(fn, ...). Told once for each place; see\n"
        "fibril.hub.set_blocking_limit.\n"
        f"Where it is (most recent call last):\n{stack}"
    ).splitlines()


def _write(lines: list[str]) -> None:
    stream = sys.stderr
    if stream is not None and _is_printing:
        stream.write("\n".join([*lines, "", ""]))
        stream.flush()


def _place(frame: FrameType | None) -> int:
    """A number for the functions that are on the stack, which keeps none of them alive."""
    names = []
    while frame is not None:
        names.append((frame.f_code.co_filename, frame.f_code.co_firstlineno))
        frame = frame.f_back
    return hash(tuple(names))


def _read_environment() -> None:
    text = os.environ.get("FIBRIL_BLOCKING_LIMIT")
    if text is None:
        return
    try:
        _core.watchdog_limit(float(text))
    except ValueError:
        print(
            f"fibril: FIBRIL_BLOCKING_LIMIT={text!r} is ignored: it must be a number of seconds, "
            "or 0.",
            file=sys.stderr,
        )


_read_environment()
atexit.register(_core.watchdog_stop, True)
os.register_at_fork(before=lambda: _core.watchdog_stop(False))
