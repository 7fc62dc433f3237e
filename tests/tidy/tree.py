"""tree.py: what the rules look at: the text of every source file, by its path.

A Tree is a plain mapping, so a rule's own test builds one from a snippet and the real one is read
from disk; the rule cannot tell them apart. Files are read once and scanned once.
Do not add: rules, or anything that knows what is good or bad.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tests.tidy.scan_c import CSource
from tests.tidy.scan_python import PythonSource

TOP = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("csrc", "src", "tests", "tools", "bench", "examples", "docs", "changes", ".github")
SUFFIXES = {".c", ".h", ".S", ".py", ".pyi", ".md", ".toml", ".build", ".yml"}
NAMES = ("Makefile", "LICENSE")
# The user's own programs, kept byte for byte.
NOT_OURS = ("examples/seed/*",)


class Breach(NamedTuple):
    """One place where a rule is broken."""

    path: str
    line: int
    what: str  # completes "path:line: …"
    amount: int = 1  # what the ratchet compares: a size, or 1 for each place
    part: str = ""  # the function, where the ratchet counts by function

    @property
    def key(self) -> str:
        return f"{self.path}:{self.part}" if self.part else self.path


class Tree:
    """The files, by path relative to the top, with "/" between."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = dict(sorted(texts.items()))

    @classmethod
    def read(cls, top: Path = TOP) -> Tree:
        texts = {}
        for folder in FOLDERS:
            for path in (top / folder).rglob("*"):
                name = path.relative_to(top).as_posix()
                if path.suffix in SUFFIXES and not is_match(name, NOT_OURS) and path.is_file():
                    texts[name] = path.read_text(encoding="utf-8")
        for path in top.iterdir():
            if path.is_file() and (path.suffix in SUFFIXES or path.name in NAMES):
                texts[path.name] = path.read_text(encoding="utf-8")
        return cls(texts)

    def paths(self, *patterns: str) -> Iterator[str]:
        """Paths that match one of the patterns; "*" matches "/" too."""
        return (path for path in self.texts if is_match(path, patterns))

    @cached_property
    def c(self) -> dict[str, CSource]:
        """Every C and assembly file, scanned."""
        return {path: CSource(self.texts[path]) for path in self.paths("*.c", "*.h", "*.S")}

    @cached_property
    def python(self) -> dict[str, PythonSource]:
        """Every Python file, scanned."""
        return {path: PythonSource(self.texts[path]) for path in self.paths("*.py")}


def is_match(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
