"""zope.interface's view of the events: for each class of fibril.events an interface of gevent's.

The idea: few programs ask for interfaces, and those have zope.interface. So they are made when the
first one is asked for, all at once, and the classes are declared to implement them then.

Invariant: zope.interface is imported by nobody else, and never because it might be useful.
Do not add: interfaces of things that nobody subscribes to.
"""

import functools
import importlib
import importlib.util
from typing import Any

from fibril import events
from fibril._hub import monitor

__all__ = ["NAMES", "get", "is_available"]

_ALL = "patch_all_arguments patch_all_kwargs"
_MEMORY = "mem_usage max_allowed memory_info"
# Each with what it extends, and the attributes of its events.
_LINES = {
    "IGeventPatchEvent": ("Interface", "source target"),
    "IGeventWillPatchEvent": ("IGeventPatchEvent", ""),
    "IGeventDidPatchEvent": ("IGeventPatchEvent", ""),
    "IGeventWillPatchModuleEvent": ("IGeventWillPatchEvent", "module_name target_item_names"),
    "IGeventDidPatchModuleEvent": ("IGeventDidPatchEvent", "module_name"),
    "IGeventWillPatchAllEvent": ("IGeventWillPatchEvent", _ALL),
    "IGeventDidPatchBuiltinModulesEvent": ("IGeventDidPatchEvent", _ALL),
    "IGeventDidPatchAllEvent": ("IGeventDidPatchEvent", _ALL),
    "IEventLoopBlocked": ("Interface", "greenlet blocking_time info hub"),
    "IMemoryUsageThresholdExceeded": ("Interface", _MEMORY),
    "IMemoryUsageUnderThreshold": ("Interface", f"{_MEMORY} max_memory_usage"),
    "IPeriodicMonitorThread": ("Interface", "add_monitoring_function"),
    "IPeriodicMonitorThreadStartedEvent": ("Interface", "monitor"),
}
NAMES = tuple(_LINES)


def is_available() -> bool:
    """Whether there can be interfaces: zope.interface is installed.

    Switches: never. Threads: any.
    """
    try:
        return importlib.util.find_spec("zope.interface") is not None
    except ImportError:  # no zope at all
        return False


def get(name: str) -> Any:
    """An interface by its name.

    Switches: never. Threads: any. Raises KeyError if there is none, ImportError without
    zope.interface.
    """
    return _made()[name]


@functools.cache
def _made() -> dict[str, Any]:
    zope: Any = importlib.import_module("zope.interface")
    made: dict[str, Any] = {"Interface": zope.Interface}
    for name, (parent, attributes) in _LINES.items():
        described = {each: zope.Attribute(each) for each in attributes.split()}
        kind = type(zope.Interface)
        made[name] = kind(name, (made[parent],), described, __module__="gevent.events")
        cls = getattr(events, name[1:], monitor.PeriodicMonitor)
        zope.classImplements(cls, made[name])
    return made
