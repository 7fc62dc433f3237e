"""rules_size.py: the sizes of STYLE.md. A number here is the smallest one that is refused."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator

from tests.tidy.rule import rule
from tests.tidy.scan_c import CSource
from tests.tidy.scan_python import PythonSource
from tests.tidy.tree import Breach, Tree

FILE_LINES = 700
POLLER_LINES = 300
FUNCTION_LINES = 60
PARAMETERS = 6
NESTING = 4
CONDITIONALS = 6
LINE_COLUMNS = 101
# Code lines of each folder, of files that stand for each other the largest; and what it is for.
ROOMS = {
    "csrc": (100, "the unit"),
    "csrc/core": (2000, "fibers, waiters, parking, timers, descriptors, the hub"),
    "csrc/core/library": (600, "what C libraries are told that count on threads"),
    "csrc/core/poll": (700, "how the kernel is asked"),
    "csrc/core/stack": (600, "mappings and pools"),
    "csrc/core/switch": (650, "entering and leaving, and what travels along"),
    "csrc/python": (1000, "the module's table, functions of C, greenlet's C interface"),
    "csrc/python/fiber": (2200, "what Python sees of a coroutine"),
    "csrc/python/hub": (2000, "who calls back"),
    "csrc/python/inspect": (800, "what tools see"),
    "csrc/python/interpreter": (800, "CPython's inside"),
    "csrc/python/io": (2100, "descriptors, sockets and TLS, files"),
    "csrc/python/io/stream": (1500, "file objects that several fibers use"),
    "csrc/python/primitives": (2200, "locks, events, locals"),
    "csrc/python/primitives/queue": (1600, "queues"),
    "csrc/python/task": (1500, "a fiber with a result, and what it says of itself"),
    "csrc/python/thread": (1600, "native threads and their signals"),
    "src": (300, "what pytest loads"),
    "src/fibril": (5000, "what users import"),
    "src/fibril/_hub": (1800, "the hub's loop and watchers, and whom it tells"),
    "src/fibril/_io": (1500, "beneath sockets, files and servers"),
    "src/fibril/cli": (600, "the command"),
    "src/fibril/compat": (900, "serving the names of others"),
    "src/fibril/compat/eventlet": (2700, "eventlet's modules, and what they mean by its names"),
    "src/fibril/compat/eventlet/green": (400, "of these, green modules"),
    "src/fibril/compat/eventlet/green/http": (100, "of these, http's"),
    "src/fibril/compat/eventlet/green/urllib": (100, "and urllib's"),
    "src/fibril/compat/eventlet/hubs": (500, "timers, listeners, switching by hand"),
    "src/fibril/compat/eventlet/support": (150, "small things that programs import"),
    "src/fibril/compat/gevent": (2000, "gevent's modules, thin"),
    "src/fibril/compat/gevent/monkey": (50, "of these, the one that patches"),
    "src/fibril/compat/gevent/resolver": (50, "of these, what looks names up"),
    "src/fibril/compat/greenlet": (300, "greenlet's"),
    "src/fibril/compat/shims/gevent": (30, "hands over to the former"),
    "src/fibril/compat/shims/greenlet": (30, "hands over to the former"),
    "src/fibril/compat/shims_eventlet/eventlet": (30, "the same for eventlet"),
    "src/fibril/contrib": (400, "adapters for programs with workers"),
    "src/fibril/dispatch": (1800, "where a call runs"),
    "src/fibril/http": (1600, "HTTP, and WSGI on it"),
    "src/fibril/inspect": (2000, "what tools see"),
    "src/fibril/monkey": (1500, "patches of the standard library, and what is left of it"),
    "src/fibril/testing": (1100, "for tests of programs"),
}
# Ladders: choosing between variants is all that these files do.
LADDERS = (
    "csrc/core/switch/switch.h", "csrc/core/poller.h",
    "csrc/python/interpreter/state.h", "csrc/python/interpreter/compat.h",
)  # fmt: skip
# Files of which a build takes one, and a reader reads one.
VARIANTS = (
    "csrc/core/switch/*.S", "csrc/core/switch/*_*.h", "csrc/python/interpreter/state_3_*.h",
)  # fmt: skip
NOT_CODE = ("*.md", "*.toml", "Makefile")


@rule("Split it by concept; each part gets a head of its own.")
def file_is_long(tree: Tree) -> Iterator[Breach]:
    for path in tree.paths("*.c", "*.h", "*.S", "*.py", "*.pyi"):
        count = tree.texts[path].count("\n")
        if count >= FILE_LINES:
            yield Breach(path, 1, f"{count} lines", count)


@rule("A poller is six small functions; what all pollers share belongs into fd.c or hub.c.")
def poller_is_long(tree: Tree) -> Iterator[Breach]:
    for path in tree.paths("csrc/core/poll/*.c"):
        count = tree.texts[path].count("\n")
        if count >= POLLER_LINES:
            yield Breach(path, 1, f"{count} lines", count)


@rule("Cut it where a name for the part comes to mind.")
def function_is_long(tree: Tree) -> Iterator[Breach]:
    for path, name, line, count in _functions(tree, "code_lines"):
        if count >= FUNCTION_LINES:
            yield Breach(path, line, f"{name} has {count} code lines", count, name)


@rule("Put what belongs together into a struct or an object, or make options keyword-only.")
def function_takes_much(tree: Tree) -> Iterator[Breach]:
    for path, name, line, count in _functions(tree, "parameters"):
        if count >= PARAMETERS:
            yield Breach(path, line, f"{name} takes {count} parameters", count, name)


@rule("Return early, or give the inner part a name.")
def function_nests_deeply(tree: Tree) -> Iterator[Breach]:
    for path, name, line, count in _functions(tree, "nesting"):
        if count >= NESTING:
            yield Breach(path, line, f"{name} nests {count} blocks", count, name)


@rule("Make it one file per variant, chosen in one ladder.")
def file_has_many_conditionals(tree: Tree) -> Iterator[Breach]:
    for path in tree.paths("csrc/*"):
        if path in tree.c and path not in LADDERS:
            count = tree.c[path].conditionals
            if count >= CONDITIONALS:
                yield Breach(path, 1, f"{count} preprocessor conditionals", count)


@rule("Break it.")
def line_is_wide(tree: Tree) -> Iterator[Breach]:
    for path in set(tree.texts) - set(tree.paths(*NOT_CODE)):
        for number, line in enumerate(tree.texts[path].split("\n"), 1):
            if len(line) >= LINE_COLUMNS:
                yield Breach(path, number, f"{len(line)} columns")


@rule("Take something out, or split the room; what is to come has its place in the budget.")
def room_is_large(tree: Tree) -> Iterator[Breach]:
    variants = [list(tree.paths(pattern)) for pattern in VARIANTS]
    alike = {path for group in variants for path in group}
    sizes: Counter[str] = Counter()
    sources: list[tuple[str, CSource | PythonSource]] = [*tree.c.items(), *tree.python.items()]
    for path, source in sources:
        if path not in alike and path.startswith(("csrc/", "src/")):
            sizes[posixpath.dirname(path)] += source.code_lines
    for group in variants:
        largest = max((tree.c[path].code_lines for path in group), default=0)
        sizes.update({posixpath.dirname(group[0]): largest} if group else {})
    for room, count in sizes.items():
        if room not in ROOMS:
            yield Breach(room, 1, "is a room without a budget: give it a line in ROOMS")
        elif count >= ROOMS[room][0]:
            yield Breach(room, 1, f"{count} code lines", count)


def _functions(tree: Tree, measure: str) -> Iterator[tuple[str, str, int, int]]:
    """Path, name, line and one measure of every function."""
    sources: list[tuple[str, CSource | PythonSource]] = [*tree.c.items(), *tree.python.items()]
    for path, source in sources:
        for function in source.functions:
            yield path, function.name, function.line, getattr(function, measure)
