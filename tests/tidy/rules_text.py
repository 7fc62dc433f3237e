"""rules_text.py: names of files, heads, comments, and marks of unfinished work."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.tidy.rule import rule
from tests.tidy.tree import Breach, Tree

EMPTY_WORDS = {"utils", "util", "common", "helpers", "helper", "misc", "impl", "base"}
GEVENT_NAMES = (
    "src/fibril/util.py",
    "src/fibril/compat/gevent/_util.py",
    "src/fibril/compat/gevent/util.py",
)  # users import them by these
MARK = re.compile(r"\bFIX[M]E\b|\bX{3}\b|\bTO[D]O\b(?!\(#(?:\d+|n)\))")
ALLOWED_MARKS = ("tests/tidy/samples.py",)  # it shows the breach
HEAD_LINES = (5, 25)
HEAD_LINES_WITH_DRAWING = 40  # assembly: of what lies on a parked stack
# Comment lines for each code line in the core outside python/: as a whole, and in any one file.
DENSITY = (0.25, 0.6)
DENSITY_OF_FILE = 0.1
DENSITY_FROM_LINES = 40  # below this a head alone decides


@rule("Name it after the one concept inside.")
def name_says_nothing(tree: Tree) -> Iterator[Breach]:
    for path in tree.texts:
        empty = EMPTY_WORDS & set(re.split(r"[/._-]", path))
        if empty and path not in GEVENT_NAMES:
            yield Breach(path, 1, f"{' and '.join(sorted(empty))} in the name")


@rule("Do it now, or file an issue and write TODO(#n) with its number.")
def work_is_unfinished(tree: Tree) -> Iterator[Breach]:
    for path, text in tree.texts.items():
        for number, line in enumerate(text.split("\n"), 1):
            mark = MARK.search(line)
            if mark and path not in ALLOWED_MARKS and not path.endswith(".md"):
                yield Breach(path, number, f"{mark[0]} left behind")


@rule("Say what the file is, the idea, its invariants, who may call it, what not to add.")
def c_head_is_missing(tree: Tree) -> Iterator[Breach]:
    for path, source in tree.c.items():
        low = HEAD_LINES[0] if path.startswith("csrc/") else 1
        high = HEAD_LINES_WITH_DRAWING if path.endswith(".S") else HEAD_LINES[1]
        first = source.comments[0] if source.comments else None
        count = first.line_count if first and first.line == 1 else 0
        if not low <= count <= high:
            yield Breach(path, 1, f"a head comment of {count} lines instead of {low} to {high}")


@rule("Begin with what the module is, in one sentence.")
def module_docstring_is_missing(tree: Tree) -> Iterator[Breach]:
    for path, source in tree.python.items():
        if source.text.strip() and not source.docstring_lines & {1, 2, 3}:
            yield Breach(path, 1, "no docstring at the head")


@rule("Comment every field, and why the surprising lines are as they are.")
def comments_are_sparse(tree: Tree) -> Iterator[Breach]:
    for path in core_files(tree):
        density, code_lines = comment_density(tree, [path])
        if code_lines >= DENSITY_FROM_LINES and density < DENSITY_OF_FILE:
            yield Breach(path, 1, f"{density:.2f} comment lines for each code line")
    density, code_lines = comment_density(tree, core_files(tree))
    if code_lines >= DENSITY_FROM_LINES and density < DENSITY[0]:
        yield Breach("csrc", 1, f"{density:.2f} comment lines for each code line of the core")


@rule("Delete what the code says by itself; history belongs to git.")
def comments_are_dense(tree: Tree) -> Iterator[Breach]:
    density, code_lines = comment_density(tree, core_files(tree))
    if code_lines >= DENSITY_FROM_LINES and density > DENSITY[1]:
        yield Breach("csrc", 1, f"{density:.2f} comment lines for each code line of the core")


def comment_density(tree: Tree, paths: list[str]) -> tuple[float, int]:
    """Comment lines for each code line, and the code lines."""
    code_lines = sum(tree.c[path].code_lines for path in paths)
    return sum(tree.c[path].comment_lines for path in paths) / max(1, code_lines), code_lines


def core_files(tree: Tree) -> list[str]:
    """The C files of the core: no assembly, nothing that knows Python."""
    return [path for path in tree.paths("csrc/*.[ch]") if not path.startswith("csrc/python/")]
