"""Telling whoever wants to know: a list of functions, which are called with what has happened.

The idea: it is zope.event's list where that is installed, so that subscribers of every kind are
told; else a list of ours. What packages of others want to be told of stands in their metadata, as
entry points. To find those by importlib.metadata takes longer than the whole patch, so a look into
the files comes first, which finds none as a rule.

Threads: any; the subscribers are called in the thread where it happens.
Do not add: events that are only the patch's; those are in fibril.events.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "EventLoopBlocked",
    "MemoryUsageThresholdExceeded",
    "MemoryUsageUnderThreshold",
    "PeriodicMonitorThreadStartedEvent",
    "notify",
    "publish",
    "subscribers",
]

_Subscriber = Callable[[Any], object]


def _list_of_zope() -> list[_Subscriber] | None:
    try:
        zope: Any = importlib.import_module("zope.event")
    except ImportError:
        return None
    found: list[_Subscriber] = zope.subscribers
    return found


_zopes = _list_of_zope()
#: Functions of one argument, the event.
subscribers: list[_Subscriber] = [] if _zopes is None else _zopes


def notify(event: object) -> None:
    """Call each subscriber with an event. What one of them raises keeps the others from it.

    Switches: as the function does, if a subscriber waits. Threads: any.
    """
    for subscriber in subscribers:
        subscriber(event)


def publish(event: Any) -> None:
    """Tell the subscribers, and the functions that packages name for this kind of event.

    Switches: as the function does, if a subscriber waits. Threads: any. Raises what they raise.
    """
    notify(event)
    for plugin in _plugins(event.ENTRY_POINT_NAME):
        plugin.load()(event)


# ---- what packages name ----

_MARK = b"gevent.plugins."
_INFO = (".dist-info", ".egg-info", ".egg")
_last_look: tuple[list[str], bool] = ([], False)  # at which sys.path; whether a package names any


def _plugins(group: str) -> Iterable[EntryPoint]:
    global _last_look
    if _last_look[0] != sys.path:
        _last_look = list(sys.path), any(map(_may_name_plugins, sys.path))
    if not _last_look[1]:
        return ()
    from importlib.metadata import entry_points

    # gevent's own are for its own patch, and import it.
    return [each for each in entry_points(group=group) if each.module.split(".")[0] != "gevent"]


def _may_name_plugins(place: str) -> bool:
    """Whether a package in one place of sys.path names any; yes for what is no folder, a zip."""
    try:
        names = os.listdir(place or ".")
    except NotADirectoryError:
        return True
    except OSError:
        return False
    if place.endswith(".egg"):
        names.append("")
    return any(
        _names_plugins(os.path.join(place, name, folder, "entry_points.txt"))
        for name in names
        if (name.endswith(_INFO) and not name.startswith("gevent-")) or not name
        for folder in ("", "EGG-INFO")
        if folder == "" or name.endswith(".egg") or not name
    )


def _names_plugins(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return _MARK in file.read()
    except OSError:
        return False


# ---- what the hub tells ----


class PeriodicMonitorThreadStartedEvent:
    """A hub has got its monitor: who wants functions called now and then adds them to it.

    Switches: never. Threads: any.
    """

    ENTRY_POINT_NAME = "gevent.plugins.hub.periodic_monitor_thread_started"

    def __init__(self, monitor: Any) -> None:
        self.monitor = monitor


class EventLoopBlocked:
    """A fiber has kept its thread for `blocking_time` seconds, and others could have run.

    `greenlet` is the fiber, `hub` its hub, `info` the lines of the report, which a subscriber may
    change. Told in the watchdog's native thread, once for each place in the program.

    Switches: never. Threads: any.
    """

    def __init__(
        self, greenlet: Any, blocking_time: float, info: list[str], *, hub: Any = None
    ) -> None:
        self.greenlet = greenlet
        self.blocking_time = blocking_time
        self.info = info
        self.hub = hub


class _MemoryEvent:
    def __init__(self, mem_usage: int, max_allowed: int, memory_info: Any) -> None:
        self.mem_usage = mem_usage
        self.max_allowed = max_allowed
        self.memory_info = memory_info

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} used={self.mem_usage} max={self.max_allowed} "
            f"details={self.memory_info!r}>"
        )


class MemoryUsageThresholdExceeded(_MemoryEvent):
    """The process uses more memory than it may, and more than when that was last told.

    In bytes: `mem_usage`, and `max_allowed`. `memory_info` has what the system says, among it `rss`
    and `uss`. Told in the monitor's native thread.

    Switches: never. Threads: any.
    """


class MemoryUsageUnderThreshold(_MemoryEvent):
    """The process uses no more memory than it may, after it did; `max_memory_usage`: how much.

    Switches: never. Threads: any.
    """

    def __init__(self, mem_usage: int, max_allowed: int, memory_info: Any, max_usage: int) -> None:
        super().__init__(mem_usage, max_allowed, memory_info)
        self.max_memory_usage = max_usage
