"""eventlet.debug, served by fibril: what the hub tells, and a trace of lines."""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

import fibril
from fibril.hub import set_blocking_limit

from . import hubs
from .hubs import hub as _hub

__all__ = [
    "Spew",
    "format_hub_listeners",
    "format_hub_timers",
    "format_asyncio_info",
    "hub_blocking_detection",
    "hub_exceptions",
    "hub_listener_stacks",
    "hub_prevent_multiple_readers",
    "hub_timer_stacks",
    "spew",
    "tpool_exceptions",
    "unspew",
]

_NAME = re.compile(r"\b[A-Za-z_]\w*\b")


class Spew:
    """For sys.settrace(): prints each line that runs, and the values of the names in it.

    trace_names: only of these modules; None: of all.
    """

    def __init__(self, trace_names: Iterable[str] | None = None, show_values: bool = True) -> None:
        self.trace_names = trace_names
        self.show_values = show_values

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Spew:
        if event == "line":
            name, line = _place(frame)
            if self.trace_names is None or name in self.trace_names:
                print(f"{name}:{frame.f_lineno}: {line.rstrip()}")
                if self.show_values:
                    print("\t" + " ".join(self._values(frame, line)))
        return self

    @staticmethod
    def _values(frame: FrameType, line: str) -> list[str]:
        names = dict.fromkeys(_NAME.findall(line))
        known = {**frame.f_globals, **frame.f_locals}
        return [f"{name}={known[name]!r}" for name in names if name in known]


def _place(frame: FrameType) -> tuple[str, str]:
    """The module's name, and the line's text."""
    file = frame.f_globals.get("__file__")
    if file is None:
        return "[unknown]", f"VM instruction #{frame.f_lasti}"
    if file.endswith((".pyc", ".pyo")):
        file = file[:-1]
    return frame.f_globals.get("__name__", "?"), linecache.getline(file, frame.f_lineno)


def spew(trace_names: Iterable[str] | None = None, show_values: bool = False) -> None:
    """Print each line that runs, from now on."""
    sys.settrace(Spew(trace_names, show_values))


def unspew() -> None:
    """Do not, any more."""
    sys.settrace(None)


def format_hub_listeners() -> str:
    """Who waits for a descriptor, a line each."""
    hub = hubs.get_hub()
    lines = ["READERS:", *map(repr, hub.get_readers()), "WRITERS:", *map(repr, hub.get_writers())]
    lines += [f"{fiber!r} waits: {verb} {what!r}" for fiber, verb, what in _waiting()]
    return "\n".join(lines)


def _waiting() -> list[Any]:
    return fibril.get_hub().waiting()


def format_hub_timers() -> str:
    """What the hub will call in its time, a line each."""
    return "\n".join(["TIMERS:", *map(repr, hubs.get_hub().timers)])


def format_asyncio_info() -> str:
    """Nothing to tell: no asyncio loop runs in the hub."""
    return ""


def hub_listener_stacks(state: bool = False) -> None:
    """Nothing: what fibril says of who waits has their stacks."""


def hub_timer_stacks(state: bool = False) -> None:
    """Nothing, likewise."""


def hub_prevent_multiple_readers(state: bool = True) -> None:
    """May only one greenthread wait to read (or write) a descriptor?

    By trampoline(), hub.add() or a GreenSocket. The standard library's sockets, patched, let
    several wait, and serve them in turn.
    """
    _hub.g_prevent_multiple_readers = state


def hub_exceptions(state: bool = True) -> None:
    """Whether exceptions that nobody catches are printed."""
    hub = fibril.get_hub()
    hubs.get_hub().set_timer_exceptions(state)
    if state:
        vars(hub).pop("_stream", None)
    else:
        hub.exception_stream = None


def tpool_exceptions(state: bool = False) -> None:
    """Nothing: what a call raises is raised where it is waited for."""


def hub_blocking_detection(state: bool = False, resolution: float = 1) -> None:
    """Tell of a greenthread that keeps its native thread for longer than `resolution` seconds.

    With its stack, on stderr; see fibril.hub.set_blocking_limit. (eventlet raises in it.)
    """
    set_blocking_limit(resolution if state else 0)
