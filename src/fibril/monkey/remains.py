"""What is left that blocks after the patch: who still has an original, and where.

The idea: an original is known by its identity, and whoever has it is found twice: from the modules
down, which gives names and lines, and from the collector, which knows everybody who refers to it,
for what no module leads to: an object's attribute, a variable of a call that is going on.

Invariant: nothing is changed, and no code of the program runs: attributes are read from dicts.
Not seen: what C code keeps by itself, and tuples of plain values that the collector has let go.
Do not add: what to say of it to a reader; that is fibril.cli.doctor's.
"""

import ast
import functools
import gc
import inspect
import os
import sys
from collections.abc import Iterator
from types import CellType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

from fibril._core import Fiber
from fibril.monkey.kept import is_kept
from fibril.monkey.rebind import KEPT, is_distinct, is_on_purpose
from fibril.monkey.saved import saved

__all__ = ["Remain", "find"]


class Remain(NamedTuple):
    """A place that has an original."""

    module: str
    line: int  # 0: not known
    place: str  # "Client.wait", as one would write it in that module
    original: str  # "time.sleep"
    how: str  # "a name", "the default of an argument", …
    is_wanted: bool  # the module is kept, or the name says that it wants the original


def find() -> list[Remain]:
    """Every place that has an original of what was patched.

    Switches: never. Threads: any.
    """
    search = _Search(_originals())
    for name, module in sorted(sys.modules.items()):
        if isinstance(module, ModuleType) and not _is_ours(name, module):
            search.look_into_module(name, module)
    search.look_for_others()
    return sorted(set(search.found))


def _originals() -> dict[int, tuple[Any, str]]:
    found = {}
    for module_name, names in saved.items():
        if module_name.startswith("fibril."):
            continue  # ours, which took the standard library's place, for programs that compare
        now = vars(sys.modules.get(module_name, object))
        for name, original in names.items():
            if is_distinct(original) and now.get(name, original) is not original:
                found[id(original)] = original, f"{module_name}.{name}"
    return found


def _is_ours(module_name: str, module: ModuleType | None = None) -> bool:
    """Also what serves gevent's names."""
    file = getattr(module, "__file__", None) or ""
    return module_name.partition(".")[0] in KEPT or file.startswith(_PACKAGE)


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class _Search:
    def __init__(self, originals: dict[int, tuple[Any, str]]) -> None:
        self.originals = originals
        self.found: list[Remain] = []
        self._seen: set[int] = {id(originals)}  # who needs no second look from below
        self._module = ""
        self._is_kept = False

    # ---- from the modules down ----

    def look_into_module(self, name: str, module: ModuleType) -> None:
        """At its globals, and at its functions and classes.

        Switches: never. Threads: any.
        """
        self._module, self._is_kept = name, is_kept(name)
        names = vars(module)
        self._seen.add(id(names))
        for attribute, value in list(names.items()):
            self._look(attribute, value, "a name")

    def _look(self, place: str, value: Any, how: str) -> None:
        if id(value) in self.originals and self.originals[id(value)][0] is value:
            self._note(place, value, how)
        elif id(value) in self._seen:
            return
        elif isinstance(value, FunctionType):
            self._look_into_function(place, value)
        elif isinstance(value, type) and vars(value).get("__module__") == self._module:
            self._look_into_class(place, value)
        elif type(value) in (classmethod, staticmethod):
            self._look(place, value.__func__, how)
        elif type(value) is functools.partial:
            self._look(place, value.func, "a partial's function")
            self._look_into(place, value.args, "a partial's argument")
        elif type(value) in (dict, list, tuple, set, frozenset):
            self._look_into(place, value, "an item")

    def _look_into(self, place: str, items: Any, how: str) -> None:
        """At the items themselves; what these have is left to the collector."""
        self._seen.add(id(items))
        for key, item in list(items.items() if type(items) is dict else enumerate(items)):
            if id(item) in self.originals:
                self._note(f"{place}[{key!r:.40}]", item, how)

    def _look_into_function(self, place: str, function: FunctionType) -> None:
        if function.__module__ != self._module:
            return
        code = function.__code__
        names = code.co_varnames[: code.co_argcount]
        positional = function.__defaults__ or ()
        self._seen |= {id(function), id(positional)}
        defaults = dict(zip(names[len(names) - len(positional) :], positional, strict=True))
        by_name = function.__kwdefaults__ or {}
        self._seen.add(id(by_name))
        for name, value in {**defaults, **by_name}.items():
            if id(value) in self.originals:
                self._note(f"{place}({name}=)", value, "the default of an argument", code)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._seen.add(id(cell))
            value = _content(cell)
            if id(value) in self.originals:
                self._note(f"{place}: {name}", value, "a variable of the function around it", code)
            elif isinstance(value, FunctionType):
                self._look(place, value, "a name")  # what a decorator has wrapped

    def _look_into_class(self, place: str, cls: type) -> None:
        self._seen.add(id(cls))
        for base in cls.__bases__:
            if id(base) in self.originals:
                self._note(place, base, "a base class")
        for name, value in list(vars(cls).items()):
            self._look(f"{place}.{name}", value, "an attribute of a class")

    def _note(self, place: str, original: Any, how: str, code: Any = None) -> None:
        name = place.partition("(")[2].rstrip("=)") or place.rpartition(".")[2]
        line = code.co_firstlineno if code else _line_of(self._module, place)
        is_wanted = self._is_kept or is_on_purpose(name)
        what = self.originals[id(original)][1]
        self.found.append(Remain(self._module, line, place, what, how, is_wanted))

    # ---- from the collector ----

    def look_for_others(self) -> None:
        """At whoever else refers to an original.

        Switches: never. Threads: any.
        """
        originals = [original for original, _ in self.originals.values()]
        self._seen |= {id(originals), *map(id, saved.values())}
        for holder in gc.get_referrers(*originals):
            if id(holder) in self._seen or isinstance(holder, type | ModuleType):
                continue
            for frame in _frames(holder):
                self._note_in_frame(frame)
            for owner in gc.get_referrers(holder) if type(holder) is dict else [holder]:
                self._note_in_object(owner, _attributes(owner))

    def _note_in_frame(self, frame: FrameType) -> None:
        module = frame.f_globals.get("__name__", "")
        if _is_ours(module) or frame.f_locals is frame.f_globals:
            return
        self._module, self._is_kept = module, is_kept(module)
        for name, value in frame.f_locals.items():
            if id(value) in self.originals:
                place = f"{frame.f_code.co_name}(): {name}"
                self._note(place, value, "a variable of a call that is going on", frame.f_code)

    def _note_in_object(self, owner: Any, attributes: dict[str, Any]) -> None:
        if isinstance(owner, FunctionType):  # one of ours stands as another module's, for pickle
            module = str(owner.__globals__.get("__name__"))
        else:
            module = type(owner).__module__
        if _is_ours(module) or not isinstance(module, str) or isinstance(owner, type | ModuleType):
            return
        self._module, self._is_kept = module, is_kept(module)
        for name, value in list(attributes.items()):
            if id(value) in self.originals:
                self._note(f"{type(owner).__qualname__}().{name}", value, "an object's attribute")


def _frames(holder: Any) -> Iterator[FrameType]:
    """The calls that are going on in a generator, a coroutine or a parked fiber."""
    frame = holder if isinstance(holder, FrameType) else None
    for name in ("gi_frame", "cr_frame", "ag_frame", "gr_frame"):
        if frame is None and type(holder).__module__ in ("builtins", "fibril", "greenlet"):
            frame = getattr(holder, name, None)
    while frame is not None:
        yield frame
        frame = frame.f_back if isinstance(holder, Fiber) else None


def _attributes(owner: Any) -> dict[str, Any]:
    """An object's own; no code of its class is run."""
    try:
        found = object.__getattribute__(owner, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return found if type(found) is dict else {}


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # it has none yet


# ---- lines ----


def _line_of(module_name: str, place: str) -> int:
    """The line that gives a name its value last, in a module or in one of its classes."""
    body: Any = _tree(module_name)
    *classes, name = place.partition("[")[0].partition("(")[0].split(".")
    line = 0
    for wanted in classes:
        found = [each for each in _nodes(body) if getattr(each, "name", None) == wanted]
        if not found:
            return line
        body, line = getattr(found[-1], "body", []), found[-1].lineno
    for node in _nodes(body):
        if name in _bound_by(node):
            line = node.lineno
    return line


def _nodes(body: list[ast.stmt]) -> Iterator[Any]:
    for statement in body:
        yield from (node for node in ast.walk(statement) if hasattr(node, "lineno"))


def _bound_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.alias):
        return [node.asname or node.name]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    return []


@functools.cache
def _tree(module_name: str) -> list[ast.stmt]:
    try:
        return ast.parse(inspect.getsource(sys.modules[module_name])).body
    except (OSError, TypeError, SyntaxError, KeyError):
        return []
