"""rules_size.py: the sizes of STYLE.md. A number here is the smallest one that is refused."""

from __future__ import annotations

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
CORE_LINES = 13000
SURFACE_LINES = 9000
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


@rule("Take something out: the size is what keeps the core readable by one person.")
def core_is_large(tree: Tree) -> Iterator[Breach]:
    lines = {path: tree.c[path].code_lines for path in tree.paths("csrc/*") if path in tree.c}
    variants = [[lines.pop(path) for path in tree.paths(pattern)] for pattern in VARIANTS]
    count = sum(lines.values()) + sum(max(group, default=0) for group in variants)
    if count >= CORE_LINES:
        yield Breach("csrc", 1, f"{count} code lines", count)


@rule("Take something out, or move it into a package of its own.")
def surface_is_large(tree: Tree) -> Iterator[Breach]:
    outside = set(tree.paths("src/fibril/compat/*"))
    paths = [path for path in tree.paths("src/fibril/*.py") if path not in outside]
    count = sum(tree.python[path].code_lines for path in paths)
    if count >= SURFACE_LINES:
        yield Breach("src/fibril", 1, f"{count} code lines", count)


def _functions(tree: Tree, measure: str) -> Iterator[tuple[str, str, int, int]]:
    """Path, name, line and one measure of every function."""
    sources: list[tuple[str, CSource | PythonSource]] = [*tree.c.items(), *tree.python.items()]
    for path, source in sources:
        for function in source.functions:
            yield path, function.name, function.line, getattr(function, measure)
