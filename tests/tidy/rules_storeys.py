"""rules_storeys.py: who may know whom: arrows between folders go down only.

The native core is a house of storeys, each a folder or the headers of one. What lies in a storey
may call and include what lies in those below it, so whoever reads upwards meets nothing that he has
not read. A call is any mention of a function of another file: a pointer to it is as good.

Do not add: exceptions. BORROWED has the names of what fibers ask of the storeys above, as fibers'
own header does.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from tests.tidy.rule import rule
from tests.tidy.tree import Breach, Tree

# Folders from the ground up; of the core's own, first the headers.
STOREYS = (
    *("csrc/core .h", "csrc/core/stack", "csrc/core/library", "csrc/core/switch"),
    *("csrc/core .c", "csrc/core/poll"),
    *("csrc/python/interpreter", "csrc/python/fiber", "csrc/python/hub", "csrc/python/task"),
    *("csrc/python/primitives", "csrc/python/primitives/queue"),
    *("csrc/python/io", "csrc/python/io/stream", "csrc/python/thread", "csrc/python/inspect"),
    *("csrc/python", "csrc"),
)
# What fiber/record.h declares as asked of the storeys above, and what the core does (core.h).
BORROWED = {
    "thread_make", "watchdog_start", "hub_get", "hub_fiber_get", "hub_report_error",
}  # fmt: skip
EMBEDDER = "fbl_embed_"
WORD = re.compile(r"[A-Za-z_]\w*")
CALL = re.compile(r"\b(\w+)\s*\(")
SAYS_SO = re.compile(r"_(?:wait|switch)$")


@rule("Move it to where it may be known, or ask for it from above.")
def arrow_climbs(tree: Tree) -> Iterator[Breach]:
    home = _homes(tree)
    for path, source in tree.c.items():
        here = storey_of(path)
        if here is None:
            continue
        for line, name in source.includes:
            there = storey_of(f"csrc/{name}")
            if there is not None and f"csrc/{name}" in tree.c and there > here:
                yield Breach(path, line, f"includes {name} of a storey above")
        code = source.statements if path.endswith(".c") else _inside_braces(source.statements)
        for name, line in _first_mentions(code).items():
            there = home.get(name)
            if there is not None and there > here and not _is_asked_for(name):
                yield Breach(path, line, f"knows {name} of a storey above")


def storey_of(path: str) -> int | None:
    """Its number from the ground up; None: not in the house."""
    folder, suffix = posixpath.dirname(path), posixpath.splitext(path)[1]
    for number, storey in enumerate(STOREYS):
        if storey in (folder, f"{folder} {suffix}"):
            return number
    return None


def _homes(tree: Tree) -> dict[str, int]:
    """The storey of each function. A name in several files (one for each machine or version) is
    that of the lowest."""
    homes: dict[str, int] = {}
    for path, source in tree.c.items():
        storey = storey_of(path)
        if storey is not None:
            for function in source.functions:
                homes[function.name] = min(homes.get(function.name, storey), storey)
    return homes


def _is_asked_for(name: str) -> bool:
    return name in BORROWED or name.startswith(EMBEDDER)


def _inside_braces(code: str) -> str:
    """What a header does: what it declares is not a call."""
    depth, kept = 0, []
    for char in code:
        depth -= char == "}"
        kept.append(char if depth > 0 or char == "\n" else " ")
        depth += char == "{"
    return "".join(kept)


def _first_mentions(code: str) -> dict[str, int]:
    mentions: dict[str, int] = {}
    for match in WORD.finditer(code):
        if match[0] not in mentions:
            mentions[match[0]] = code.count("\n", 0, match.start()) + 1
    return mentions


@rule("Put it into a folder of the house, or give the new folder its place among STOREYS.")
def file_has_no_storey(tree: Tree) -> Iterator[Breach]:
    for path in tree.paths("csrc/*.c", "csrc/*.h"):
        if storey_of(path) is None:
            yield Breach(path, 1, "lies in no storey")


@rule("End its name in _wait (until something happens) or _switch (to somebody), as its callers'.")
def switch_is_not_said(tree: Tree) -> Iterator[Breach]:
    """A function that C code calls, and that calls one whose name says that it may switch, is named
    so itself. What only Python calls says so in its docstring."""
    calls: dict[str, set[str]] = {}
    places: dict[str, tuple[str, int]] = {}
    for path in tree.paths("csrc/*.c", "csrc/*.h"):
        for function, body in tree.c[path].bodies:
            calls.setdefault(function.name, set()).update(CALL.findall(body))
            places[function.name] = path, function.line
    called = set().union(*calls.values())
    for name, (path, line) in places.items():
        said = sorted(other for other in calls[name] & places.keys() if SAYS_SO.search(other))
        if said and name in called and not SAYS_SO.search(name):
            yield Breach(path, line, f"{name} calls {said[0]}, so it may switch, too", part=name)


# The same for Python: modules and packages, from the ground up.
MODULES = (
    ("_supported", "_typing", "_builtin", "errors", "native", "config"),
    ("timeout", "local", "queue", "event", "lock", "time", "thread"),
    ("_io", "dispatch"),
    ("_hub",),
    ("signal", "select", "selectors", "socket", "ssl", "task", "pool", "threadpool", "hub", "os"),
    ("subprocess", "fileobject", "baseserver", "server", "backdoor"),
    ("http",),
    ("pywsgi",),
    ("libraries", "drivers", "events"),
    ("testing", "inspect"),
    ("util",),
    ("monkey",),
    ("compat",),
    ("cli", "contrib"),
    ("__main__", "__init__"),
)


@rule("Import it where it is used, or move what is needed below.")
def import_climbs(tree: Tree) -> Iterator[Breach]:
    """What a module imports when it is imported lies in its storey or below. (Within a storey no
    circle can be: Python itself would trip over it.)"""
    for path in tree.paths("src/fibril/*.py"):
        here = module_storey(path)
        if here is None:
            yield Breach(path, 1, "lies in no storey: name it in MODULES")
            continue
        for line, name in tree.python[path].first_imports:
            there = module_storey(f"src/{name.replace('.', '/')}.py")
            if name.startswith("fibril.") and there is not None and there > here:
                yield Breach(path, line, f"imports {name} of a storey above")


def module_storey(path: str) -> int | None:
    name = path.removeprefix("src/fibril/").removesuffix(".py").split("/")[0]
    for number, names in enumerate(MODULES):
        if name in names:
            return number
    return None
