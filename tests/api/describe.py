"""Describe modules as Python sees them, as JSON: names, signatures, attributes of classes.

    python describe.py served|real [MODULE…]

`served` describes what fibril gives under gevent's and greenlet's names; `real` what is installed,
where without modules it finds out itself which there are. tests/api/api_diff.py runs both, each in
a process of its own, and compares.

Nothing here knows what is a difference. What cannot be found out, a signature for example, is None.
"""

import __future__

import importlib
import inspect
import json
import pkgutil
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

#: One parameter: its name, its kind as inspect has it, and its default as text, or None.
Parameter = tuple[str, str, str | None]

# Not for programs: gevent's own tests, and its other loops.
NOT_PUBLIC = ("gevent.tests", "gevent.testing", "gevent.libuv", "gevent.libev", "gevent._ffi")
# Private by name, but programs import them (ddtrace, pika, raiden, debuggers).
PRIVATE = (
    "gevent._config",
    "gevent._hub_local",
    "gevent._imap",
    "gevent._interfaces",
    "gevent._tracer",
    "gevent._util",
)
# What makes objects of a class containers, contexts and the like.
PROTOCOLS = frozenset(
    [
        "__bool__",
        "__call__",
        "__contains__",
        "__enter__",
        "__exit__",
        "__getitem__",
        "__iter__",
        "__len__",
        "__lt__",
        "__next__",
    ]
)
# Objects of classes that have attributes of their own only, or more of them.
SPECIMENS = """
gevent.Greenlet(int)
gevent.Timeout(1)
gevent.get_hub()
gevent.get_hub().loop
gevent.get_hub().loop.async_()
gevent.get_hub().loop.check()
gevent.get_hub().loop.child(1)
gevent.get_hub().loop.fork()
gevent.get_hub().loop.idle()
gevent.get_hub().loop.io(0, 1)
gevent.get_hub().loop.prepare()
gevent.get_hub().loop.signal(10)
gevent.get_hub().loop.stat("/")
gevent.get_hub().loop.timer(1)
gevent._config.config
gevent._imap.IMapUnordered(int, (), gevent.spawn)
gevent._tracer.GreenletTracer()
gevent.event.AsyncResult()
gevent.exceptions.LoopExit("", None, ())
gevent.fileobject.FileObject(0, closefd=False)
gevent.fileobject.FileObjectThread(0, closefd=False)
gevent.local.local()
gevent.lock.RLock()
gevent.pool.Group()
gevent.pool.Pool(1)
gevent.queue.Channel()
gevent.queue.Queue()
gevent.queue.SimpleQueue()
gevent.selectors.DefaultSelector()
gevent.socket.socket()
gevent.threadpool.ThreadPool(1)
gevent.util.GreenletTree.current_tree()
gevent.util.assert_switches()
"""
SIMPLE = (bool, int, float, str, bytes, type(None))


def modules() -> list[str]:
    """Those of the installed gevent and greenlet that programs may import."""
    found = [*PRIVATE]
    gevent = importlib.import_module("gevent")
    for info in pkgutil.walk_packages(gevent.__path__, "gevent.", onerror=lambda name: None):
        last = info.name.rpartition(".")[2]
        if not last.startswith("_") and not info.name.startswith(NOT_PUBLIC):
            found.append(info.name)
    # greenlet first: its import is what gives fibril's classes greenlet's names.
    return ["greenlet", "gevent", *sorted(found)]


class Describer:
    """Describes modules, and knows what it has described before, under another name."""

    def __init__(self) -> None:
        self.places: dict[int, str] = {}

    def module(self, module: str) -> dict[str, Any] | None:
        """What a module has, by name; None if there is no such module."""
        try:
            found = importlib.import_module(module)
        except ImportError:
            return None
        listed = [name for name in getattr(found, "__all__", ()) if hasattr(found, name)]
        names = {*listed, *(name for name in vars(found) if not name.startswith("_"))}
        values = {name: getattr(found, name) for name in sorted(names)}
        return {
            name: self.value(value, f"{module}:{name}")
            for name, value in values.items()
            if not isinstance(value, types.ModuleType | __future__._Feature)
        }

    def specimens(self, modules: dict[str, Any]) -> None:
        """Add to the classes what only their objects have."""
        for text in SPECIMENS.split("\n")[1:-1]:
            found = eval(text, {"gevent": importlib.import_module("gevent")})
            place = self.places.get(id(type(found)))
            if place is None:
                continue  # its class has no name in any of the modules
            module, _, name = place.partition(":")
            known = modules[module][name]["attributes"]
            for attribute in dir(found):
                if not attribute.startswith("_") and attribute not in known:
                    known[attribute] = {"kind": "value", "signature": None}

    def value(self, value: Any, place: str) -> dict[str, Any]:
        kind = "class" if isinstance(value, type) else "function" if callable(value) else "value"
        described = {"kind": kind, "home": home(value)}
        if kind != "value":
            described["signature"] = parameters(value)
            described["first"] = self.places.setdefault(id(value), place)
        if kind == "class":
            described["builtins"] = [
                b.__name__ for b in value.__mro__ if b.__module__ == "builtins"
            ]
            described["attributes"] = dict(attributes(value))
        return described


def home(value: Any) -> str:
    """In which module it is at home, as it says itself."""
    return str(getattr(value, "__module__", None) or "")


def attributes(cls: type) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in dir(cls):
        if name.startswith("_") and name not in PROTOCOLS:
            continue
        try:
            static = inspect.getattr_static(cls, name)
            value = getattr(cls, name)
        except AttributeError:  # of instances only
            continue
        if not callable(value) or isinstance(value, type):
            yield name, {"kind": "value", "signature": None}
            continue
        if name in PROTOCOLS:  # Python itself calls it
            yield name, {"kind": "method", "signature": None}
            continue
        found = parameters(value)
        is_bound = isinstance(static, staticmethod | classmethod) or hasattr(value, "__self__")
        if found and not is_bound and not found[0][1].startswith("VAR_"):
            found = found[1:]  # self
        yield name, {"kind": "method", "signature": found}


def parameters(value: Any) -> list[Parameter] | None:
    """Those of a signature; None if it does not tell: (*args, **kwargs) does not either."""
    try:
        found = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError, AttributeError):  # the last: select.epoll.register's on 3.15
        return None
    if [each.kind.name for each in found] == ["VAR_POSITIONAL", "VAR_KEYWORD"]:
        return None
    return [(each.name, each.kind.name, default(each.default)) for each in found]


def default(value: Any) -> str | None:
    """A default that can be compared as text; of others only that there is one."""
    if value is inspect.Parameter.empty:
        return None
    if isinstance(value, type):
        return value.__name__
    is_simple = isinstance(value, SIMPLE) or (
        isinstance(value, tuple) and all(isinstance(each, SIMPLE) for each in value)
    )
    return repr(value) if is_simple else "..."


def main(which: str, *names: str) -> None:
    warnings.simplefilter("ignore")  # of modules that gevent calls deprecated
    if which == "served":
        from fibril import compat

        compat.install()
    describer = Describer()
    described = {name: describer.module(name) for name in names or modules()}
    describer.specimens(described)
    print(json.dumps(described))


if __name__ == "__main__":
    main(*sys.argv[1:])
