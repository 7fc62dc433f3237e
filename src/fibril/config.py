"""gevent's settings, for programs that read or set them: `gevent.config`.

The idea: fibril has one loop, and one resolver that is worth having, so many of gevent's settings
choose between things that are not there. They are kept, so that a program can set and read them,
and say here that nothing follows. What has a meaning in fibril takes effect: see _EFFECTS, and
_CLASSES, whose settings are asked for where such an object is made.

Each is read from its environment variable when it is first asked for, as with gevent.
Do not add: settings of fibril's own. Those are functions where they belong.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from fibril import _core

__all__ = ["Config", "config"]


class _Setting(NamedTuple):
    env: str
    default: Any
    read: Callable[[str], Any]


def _flag(text: str) -> bool:
    return text.lower() in {"1", "on", "yes", "true"}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _number(text: str) -> float | None:
    return float(text) if text else None


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def _bytes(text: str) -> int | None:
    """A number of bytes, as 1073741824, 1024MB or 1.5G."""
    number = text.strip().upper().removesuffix("B")
    unit = number[-1:] if number[-1:].isalpha() else ""
    try:
        return int(float(number.removesuffix(unit)) * _UNITS[unit]) if text else None
    except (KeyError, ValueError):
        raise ValueError(f"cannot read {text!r} as a number of bytes. Give 500MB or 2G.") from None


# What gevent has, with its defaults. Those with an effect are named in _EFFECTS.
_SETTINGS = {
    "resolver": _Setting("GEVENT_RESOLVER", ["thread"], _names),
    "threadpool": _Setting("GEVENT_THREADPOOL", ["fibril.threadpool.ThreadPool"], _names),
    "threadpool_idle_task_timeout": _Setting("GEVENT_THREADPOOL_IDLE_TASK_TIMEOUT", 5.0, _number),
    "loop": _Setting("GEVENT_LOOP", ["fibril._hub.loop.Loop"], _names),
    "format_context": _Setting("GEVENT_FORMAT_CONTEXT", ["pprint.saferepr"], _names),
    "libev_backend": _Setting("GEVENT_BACKEND", None, str),
    "fileobject": _Setting("GEVENT_FILE", ["posix"], _names),
    "disable_watch_children": _Setting("GEVENT_NOWAITPID", False, _flag),
    "trace_malloc": _Setting("PYTHONTRACEMALLOC", False, _flag),
    "track_greenlet_tree": _Setting("GEVENT_TRACK_GREENLET_TREE", True, _flag),
    "monitor_thread": _Setting("GEVENT_MONITOR_THREAD_ENABLE", True, _flag),
    "max_blocking_time": _Setting("GEVENT_MAX_BLOCKING_TIME", 1.0, _number),
    "print_blocking_reports": _Setting("GEVENT_MONITOR_PRINT_BLOCKING_REPORTS", True, _flag),
    "memory_monitor_period": _Setting("GEVENT_MONITOR_MEMORY_PERIOD", 5.0, _number),
    "max_memory_usage": _Setting("GEVENT_MONITOR_MEMORY_MAX", None, _bytes),
    "resolver_nameservers": _Setting("GEVENT_RESOLVER_NAMESERVERS", None, _names),
    "resolver_timeout": _Setting("GEVENT_RESOLVER_TIMEOUT", None, _number),
    **{
        f"ares_{name}": _Setting(f"GEVENTARES_{name.upper()}", None, str)
        for name in ("flags", "timeout", "tries", "ndots", "udp_port", "tcp_port", "servers")
    },
}
# Settings that are classes or functions, and the short names that gevent has for them.
_RESOLVER, _LOOP, _FILE = (
    "fibril._io.resolver.Resolver",
    "fibril._hub.loop.Loop",
    "fibril.fileobject",
)
_CLASSES = {
    "resolver": {
        "thread": _RESOLVER,
        "ares": _RESOLVER,
        "dnspython": _RESOLVER,
        "block": "fibril._io.resolver.BlockingResolver",
    },
    "loop": dict.fromkeys(("libev-cext", "libev-cffi", "libuv-cffi"), _LOOP),
    "threadpool": {},
    "format_context": {},
    "fileobject": {
        "posix": f"{_FILE}.FileObjectPosix",
        "thread": f"{_FILE}.FileObjectThread",
        "block": f"{_FILE}.FileObjectBlock",
    },
}


def _find_class(name: str, value: Any) -> Any:
    """The first of the named classes that can be imported, or the class itself."""
    from importlib import import_module

    refused = []
    for each in _names(value) if isinstance(value, str) else [value] if callable(value) else value:
        if not isinstance(each, str):
            return each
        module, _, attribute = _CLASSES[name].get(each, each).rpartition(".")
        try:
            return getattr(import_module(module), attribute)
        except (ImportError, AttributeError, ValueError):  # ValueError: there is no module in it
            refused.append(each)
    raise ImportError(
        f"cannot find the setting {name!r}: none of {refused} can be imported. Give a class, its "
        f"name with its module's, or one of {list(_CLASSES[name])}."
    )


def _limit_blocking(settings: Any) -> None:
    limit_s = settings.max_blocking_time if settings.monitor_thread else 0
    _core.watchdog_limit(limit_s or 0)


def _print_reports(settings: Any) -> None:
    from fibril._hub import watchdog

    watchdog.set_printing(bool(settings.print_blocking_reports))


def _limit_memory(settings: Any) -> None:
    from fibril._hub import memory

    limit = settings.max_memory_usage
    memory.max_bytes = _bytes(limit) if isinstance(limit, str) else limit
    memory.period_s = settings.memory_monitor_period
    if limit and settings.monitor_thread:
        hub: Any = _core.get_hub()  # fibril.hub.Hub
        hub.start_periodic_monitoring_thread().install_monitor_memory_usage()


_EFFECTS: dict[str, Callable[[Any], None]] = {
    "monitor_thread": _limit_blocking,
    "max_blocking_time": _limit_blocking,
    "print_blocking_reports": _print_reports,
    "max_memory_usage": _limit_memory,
    "memory_monitor_period": _limit_memory,
}


class Config:
    """The settings, as attributes; only those that gevent has.

    `max_blocking_time` (seconds) and `monitor_thread` set what fibril.hub.set_blocking_limit does,
    which fibril does by default; `print_blocking_reports` whether that is printed. With a
    `max_memory_usage` (bytes, or a text as "2G") fibril.events tell when the process uses more, by
    a look each `memory_monitor_period` seconds.

    `fileobject`, `resolver` and `threadpool` are classes, which may be given by name: those of
    fibril.fileobject.FileObject, and of what hubs that are not made yet will have;
    `threadpool_idle_task_timeout` is how long threads of that pool stay without work (seconds). The
    others are kept and have no effect.

    Switches: never. Threads: any. Raises AttributeError for a name that gevent does not have, and
    ImportError for a class that cannot be found.

    >>> from fibril.config import config
    >>> config.track_greenlet_tree
    True
    """

    settings = _SETTINGS

    def __init__(self) -> None:
        self.__dict__["_values"] = {}
        self.__dict__["_given"] = set()  # names of those that the program has set
        for name in _EFFECTS:
            if _SETTINGS[name].env in os.environ:
                setattr(self, name, getattr(self, name))

    def __getattr__(self, name: str) -> Any:
        self._check(name)
        values = self.__dict__["_values"]
        if name not in values:
            setting = _SETTINGS[name]
            text = os.environ.get(setting.env)
            values[name] = setting.default if text is None else setting.read(text)
        if name in _CLASSES:
            return _find_class(name, values[name])
        return values[name]

    def is_chosen(self, name: str) -> bool:
        """Whether the program or its environment says anything of it.

        Switches: never. Threads: any.
        """
        return name in self.__dict__["_given"] or _SETTINGS[name].env in os.environ

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        self.__dict__["_values"][name] = value
        self.__dict__["_given"].add(name)
        if name in _EFFECTS:
            _EFFECTS[name](self)

    def set(self, name: str, value: Any) -> None:
        """Set one by its name.

        Switches: never. Threads: any. Raises AttributeError as setting the attribute does.
        """
        setattr(self, name, value)

    def print_help(self) -> None:
        """Print each setting, with its environment variable and what it is now.

        Switches: never. Threads: any.
        """
        for name, setting in _SETTINGS.items():
            print(f"{name} ({setting.env}): {getattr(self, name)!r}")

    def __dir__(self) -> list[str]:
        return sorted(_SETTINGS)

    @staticmethod
    def _check(name: str) -> None:
        if name not in _SETTINGS:
            raise AttributeError(
                f"there is no setting {name!r}; those of gevent are: {', '.join(_SETTINGS)}"
            )


config = Config()
