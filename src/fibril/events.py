"""What a program can be told of: events, and the list of functions that they are given to.

The idea: append a function to `subscribers`; it is called with each event, an object whose class
says what has happened. Before a module is patched it may raise DoNotPatch. Packages may name such
functions in their metadata instead: entry points of the groups in ENTRY_POINT_NAME. Where
zope.event is installed, `subscribers` is its list.

Classes and names are gevent's, and so is their order: will patch all, for each module will and did
patch, did patch builtins, did patch all.
Do not add: what tells; that is where it happens. Interfaces: those are fibril.compat.interfaces'.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from fibril._hub.events import (
    EventLoopBlocked,
    MemoryUsageThresholdExceeded,
    MemoryUsageUnderThreshold,
    PeriodicMonitorThreadStartedEvent,
    notify,
    subscribers,
)
from fibril._hub.events import publish as notify_and_call_entry_points

__all__ = [
    "DoNotPatch",
    "EventLoopBlocked",
    "GeventDidPatchAllEvent",
    "GeventDidPatchBuiltinModulesEvent",
    "GeventDidPatchEvent",
    "GeventDidPatchModuleEvent",
    "GeventPatchEvent",
    "GeventWillPatchAllEvent",
    "GeventWillPatchEvent",
    "GeventWillPatchModuleEvent",
    "MemoryUsageThresholdExceeded",
    "MemoryUsageUnderThreshold",
    "PeriodicMonitorThreadStartedEvent",
    "notify",
    "notify_and_call_entry_points",
    "subscribers",
]


class DoNotPatch(BaseException):
    """Raised by a subscriber that is told of what will be patched: leave it as it is.

    Switches: never. Threads: any.
    """


class GeventPatchEvent:
    """Something of the patch; `source` has what is put in place, `target` is what it is put into.

    Switches: never. Threads: any.
    """

    def __init__(self, source: Any, target: Any) -> None:
        self.source = source
        self.target = target

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} source={self.source!r} target={self.target!r} at {id(self):x}>"
        )


class GeventWillPatchEvent(GeventPatchEvent):
    """Something will be patched, unless a subscriber raises DoNotPatch.

    Switches: never. Threads: any.
    """


class GeventDidPatchEvent(GeventPatchEvent):
    """Something has been patched.

    Switches: never. Threads: any.
    """


class GeventWillPatchModuleEvent(GeventWillPatchEvent):
    """A module will be patched: `module_name`, and `target_item_names`, which names of it.

    Names that a subscriber takes out of that list stay as they are; "socket.recv" is a method.

    Switches: never. Threads: any.
    """

    ENTRY_POINT_NAME = "gevent.plugins.monkey.will_patch_module"

    def __init__(
        self, module_name: str, source: ModuleType, target: ModuleType, items: list[str]
    ) -> None:
        super().__init__(source, target)
        self.module_name = module_name
        self.target_item_names = items


class GeventDidPatchModuleEvent(GeventDidPatchEvent):
    """A module, `module_name`, has been patched.

    Switches: never. Threads: any.
    """

    ENTRY_POINT_NAME = "gevent.plugins.monkey.did_patch_module"

    def __init__(self, module_name: str, source: ModuleType, target: ModuleType) -> None:
        super().__init__(source, target)
        self.module_name = module_name


class _OfAll(GeventPatchEvent):
    """What patch_all() was called with: its own arguments, and others."""

    def __init__(self, patch_all_arguments: dict[str, Any], patch_all_kwargs: dict[str, Any]):
        super().__init__(None, None)
        self._arguments = patch_all_arguments
        self._others = patch_all_kwargs

    @property
    def patch_all_arguments(self) -> dict[str, Any]:
        """The arguments that patch_all() has, as it was called."""
        return dict(self._arguments)

    @property
    def patch_all_kwargs(self) -> dict[str, Any]:
        """Other arguments that it was given, which are for subscribers."""
        return dict(self._others)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._arguments!r} at {id(self):x}>"


class GeventWillPatchAllEvent(_OfAll, GeventWillPatchEvent):
    """patch_all() begins. After DoNotPatch it does nothing, and returns False.

    Switches: never. Threads: any.
    """

    ENTRY_POINT_NAME = "gevent.plugins.monkey.will_patch_all"

    def will_patch_module(self, module_name: str) -> Any:
        """Whether patch_all() was asked to patch what this argument of it names."""
        return self._arguments.get(module_name)


class GeventDidPatchBuiltinModulesEvent(_OfAll, GeventDidPatchEvent):
    """patch_all() has patched the standard library: the moment to patch a library of one's own.

    Switches: never. Threads: any.
    """

    ENTRY_POINT_NAME = "gevent.plugins.monkey.did_patch_builtins"


class GeventDidPatchAllEvent(_OfAll, GeventDidPatchEvent):
    """patch_all() is done, and so are its subscribers.

    Switches: never. Threads: any.
    """

    ENTRY_POINT_NAME = "gevent.plugins.monkey.did_patch_all"
