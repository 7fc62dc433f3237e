"""eventlet.hubs, served by fibril: the hub of this thread, and waiting for a descriptor.

Whatever hub is asked for by name, it is fibril's, which asks epoll.
"""

from __future__ import annotations

import errno
import importlib
from types import ModuleType
from typing import Any

import fibril
from fibril import _core
from fibril._core import getcurrent

from ..timeout import Timeout
from . import hub as _hub
from . import timer as timer
from .hub import READ, WRITE, IOClosed

__all__ = [
    "IOClosed",
    "builtin_hub_modules",
    "builtin_hub_names",
    "get_default_hub",
    "get_hub",
    "notify_close",
    "notify_opened",
    "trampoline",
    "use_hub",
]

builtin_hub_names = ("epolls", "kqueue", "poll", "selects", "asyncio")
_chosen: type[_hub.BaseHub] | None = None


def get_default_hub() -> ModuleType:
    """The module of the hub that is used if none is asked for."""
    return importlib.import_module(f"{__name__}.epolls")


def use_hub(mod: Any = None) -> None:
    """Use a hub for the threads that have none yet: a name of eventlet's, or a module or class.

    Each is fibril's hub, with the class's methods. Raises NotImplementedError for one that is not
    there, as kqueue, and TypeError for a class of another kind.

    Switches: never. Threads: any.
    """
    global _chosen
    if mod is None:
        mod = get_default_hub()
    if isinstance(mod, str):
        name, _, class_name = mod.partition(":")
        place = name if name not in builtin_hub_names else f"{__name__}.{name}"
        mod = importlib.import_module(place)
        if class_name:
            mod = getattr(mod, class_name)
    if isinstance(mod, ModuleType):
        if not getattr(mod, "is_available", lambda: True)():
            raise NotImplementedError(
                f"cannot use the hub {mod.__name__!r}: fibril serves eventlet here, and its hub "
                "asks epoll. Use that, or None."
            )
        mod = mod.Hub
    if not (isinstance(mod, type) and issubclass(mod, _hub.BaseHub)):
        raise TypeError(
            f"cannot use {mod!r} as a hub: fibril serves eventlet here, and its hub cannot be "
            "exchanged. Derive from eventlet.hubs.hub.BaseHub to add methods to it."
        )
    _chosen = mod
    vars(fibril.get_hub()).pop("eventlet_hub", None)


def get_hub() -> Any:
    """eventlet's face of this native thread's hub."""
    names = vars(fibril.get_hub())
    found = names.get("eventlet_hub")
    if found is None:
        if _chosen is None:
            use_hub(_from_environment())
        assert _chosen is not None
        found = names["eventlet_hub"] = _chosen()
    return found


def _from_environment() -> str | None:
    import os

    return os.environ.get("EVENTLET_HUB") or None


def trampoline(
    fd: Any,
    read: bool | None = None,
    write: bool | None = None,
    timeout: float | None = None,
    timeout_exc: Any = Timeout,
    *,
    mark_as_closed: Any = None,
) -> None:
    """Wait until a descriptor can be read, or can be written: one of both must be asked for.

    timeout: seconds; then timeout_exc is raised, a class or an instance.

    Switches: if it must wait. Threads: any. Raises IOClosed if the descriptor is closed meanwhile,
    RuntimeError if another greenthread waits for the same.
    """
    if read and write:
        raise AssertionError("cannot wait to read and to write at once: ask for one of them")
    if not read and not write:
        raise AssertionError("cannot wait for nothing: ask to read or to write")
    fileno = fd if isinstance(fd, int) else fd.fileno()
    hub = get_hub()
    current = getcurrent()
    if isinstance(current, _core.Hub):
        raise AssertionError("cannot wait in a callback of the hub: nobody else would run")
    evtype = READ if read else WRITE
    arrived = _core.Event()
    struck: list[BaseException] = []

    def closed(error: BaseException) -> None:
        struck.append(error)
        arrived.set()

    listener = hub.add(evtype, fileno, lambda _: arrived.set(), closed, mark_as_closed)
    try:
        if not arrived.wait(timeout):
            raise timeout_exc
        if struck:
            raise struck.pop()
    except OSError as error:
        if error.errno == errno.EBADF:
            raise IOClosed from error
        raise
    finally:
        hub.remove(listener)


def notify_close(fd: int) -> None:
    """The descriptor is about to be closed: whoever waits for it gets IOClosed."""
    get_hub().notify_close(fd)


def notify_opened(fd: int) -> None:
    """The descriptor is another file's now: whoever waited for the former one gets IOClosed."""
    get_hub().mark_as_reopened(fd)


def __getattr__(name: str) -> Any:
    if name == "builtin_hub_modules":
        found = (importlib.import_module(f"{__name__}.{each}") for each in builtin_hub_names)
        return tuple(found)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
