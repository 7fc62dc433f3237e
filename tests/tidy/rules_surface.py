"""rules_surface.py: what the public Python names must say of themselves, and dead modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.tidy.rule import rule
from tests.tidy.scan_python import Function, PythonSource
from tests.tidy.tree import Breach, Tree

SWITCHES = re.compile(r"\bSwitches: (never|if it must wait|always|as the function does)\b")
THREADS = re.compile(r"\bThreads: (owner|any)\b")
# Names without behaviour of their own: what they mean is said where they come from.
ALIASES = "src/fibril/compat/"
PRIVATE = re.compile(r"/_(?!_init__)")  # a file or folder
# Nobody imports these from within: people do, gdb does, the next ones are imported under the names
# eventlet, gevent and greenlet (those of shims by processes started with its folder), and the last
# by the programs that they are for.
ENTRY_POINTS = {"fibril", "fibril.__main__", "fibril.inspect.fibril-gdb"}
SERVED = (
    *("fibril.compat.eventlet", "fibril.compat.gevent", "fibril.compat.greenlet"),
    *("fibril.compat.shims", "fibril.compat.shims_eventlet"),
    "fibril.contrib.",
)

Definition = Function | ast.ClassDef


@rule("One sentence; behaviour; Switches: and Threads:; what it raises; an example that runs.")
def public_name_is_undocumented(tree: Tree) -> Iterator[Breach]:
    for path, name, node, _ in _public(tree):
        if not ast.get_docstring(node):
            yield Breach(path, node.lineno, f"{name} has no docstring", part=name)


@rule(
    "Say `Switches: never`, `if it must wait` or `always`, and `Threads: owner` or `any`,"
    " in the docstring, or once for all methods in the class's."
)
def switching_is_not_stated(tree: Tree) -> Iterator[Breach]:
    for path, name, node, owner in _public(tree):
        if isinstance(node, ast.ClassDef):
            continue
        said = "\n".join(ast.get_docstring(part) or "" for part in (node, owner) if part)
        missing = [
            word
            for word, pattern in (("Switches:", SWITCHES), ("Threads:", THREADS))
            if not pattern.search(said)
        ]
        if missing:
            what = f"{name} does not say {' and '.join(missing)}"
            yield Breach(path, node.lineno, what, part=name)


@rule("Import it where it belongs, or delete it.")
def module_is_dead(tree: Tree) -> Iterator[Breach]:
    imported: set[str] = set()
    for path, source in tree.python.items():
        name = module_name(path)
        found = source.imports(name, path.endswith("/__init__.py"))
        imported |= {other for other in found if other != name}
        imported |= {other.rpartition(".")[0] for other in found}  # what it lies in comes first
    for path in tree.paths("src/fibril/*.py"):
        name = module_name(path)
        if name not in imported | ENTRY_POINTS and not name.startswith(SERVED):
            yield Breach(path, 1, f"nothing imports {name}, no test either")


def module_name(path: str) -> str:
    """src/fibril/monkey/__init__.py → fibril.monkey."""
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _public(tree: Tree) -> Iterator[tuple[str, str, Definition, ast.ClassDef | None]]:
    """Path, name, node and class of every public function, class and method."""
    for path in tree.paths("src/fibril/*.py"):
        if PRIVATE.search(path) or path.startswith(ALIASES):
            continue
        for node in _exported(tree.python[path]):
            yield path, node.name, node, None
            for method, owner in _methods(node):
                yield path, f"{owner.name}.{method.name}", method, owner


def _exported(source: PythonSource) -> Iterator[Definition]:
    for node in source.module.body:
        if not isinstance(node, Definition) or "overload" in _marks(node):
            continue
        names = source.exported
        if node.name in names if names is not None else not node.name.startswith("_"):
            yield node


def _methods(node: Definition) -> Iterator[tuple[Function, ast.ClassDef]]:
    """A class's public methods; a property's setter and overloads have no docstring."""
    if not isinstance(node, ast.ClassDef):
        return
    for child in node.body:
        if not isinstance(child, Function) or child.name.startswith("_"):
            continue
        if not _marks(child) & {"setter", "deleter", "overload"}:
            yield child, node


def _marks(node: Definition) -> set[str]:
    return {ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list}
