"""rules_native.py: what C code here may not do, or may do only with a reason beside it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from tests.tidy.rule import rule
from tests.tidy.scan_c import CSource
from tests.tidy.tree import Breach, Tree, is_match

# The contract of the interpreter's state, its per-version parts, and the gaps in the API.
VERSIONED = ("csrc/python/interpreter/state*.h", "csrc/python/interpreter/compat.h")
SAFE = "SAFE:"

# What must not be called anywhere → what to call.
BANNED = {
    "alloca": "a fixed array, or malloc",
    "asprintf": "snprintf into a sized buffer",
    "gethostbyname": "getaddrinfo",
    "gets": "fgets",
    "localtime": "localtime_r",
    "longjmp": "a return code; it does not know our stacks",
    "setjmp": "a return code; it does not know our stacks",
    "sprintf": "snprintf",
    "strcat": "snprintf, or memcpy of a known length",
    "strcpy": "memcpy of a known length",
    "strtok": "strtok_r",
    "system": "posix_spawn",
    "vsprintf": "vsnprintf",
}
# What only programs may call, not the library → what the library does.
BANNED_IN_LIBRARY = {
    "atoi": "strtol, which reports errors",
    "abort": "assert, or return a negative code",
    "exit": "return a negative code",
    "fprintf": "return a negative code; messages are made in errors.c",
    "perror": "return a negative code; messages are made in errors.c",
    "printf": "return a negative code; messages are made in errors.c",
    "select": "the hub's poller",
    "signal": "sigaction",
    "sleep": "a timer",
    "usleep": "a timer",
    "PyGILState_Ensure": "the thread state that the caller was given",
}
# What needs a SAFE: comment → why it is dangerous. Not in the files of VERSIONED: it is their job.
DANGEROUS = {
    r"\b(?:ts|tstate)->[\w.>\[\]-]*\s*(?:(?:[-+*/|&^]|<<|>>)?=(?!=)|\+\+|--)": (
        "writes into the interpreter's thread state"
    ),
    r"(?:\+\+|--)\s*(?:ts|tstate)->": "writes into the interpreter's thread state",
    r"\bPy_REFCNT\s*\(": "decides by a reference count",
    r"\bPyErr_Print\s*\(": "ends the process if the exception is SystemExit",
    r"#\s*define\s+Py_BUILD_CORE\b": "opens CPython's private headers",
    r"\b__builtin_frame_address\b": "takes an address on a stack",
}


@rule("Move it to csrc/python: the core builds and is tested without an interpreter.")
def core_knows_python(tree: Tree) -> Iterator[Breach]:
    for path, source in _files(tree, but=("csrc/python/*",)):
        for line, name in source.includes:
            if name == "Python.h" or name.startswith("internal/pycore"):
                yield Breach(path, line, f"includes {name}")


@rule("Give the difference a name in compat.h, or put it into the version's state file.")
def version_is_tested(tree: Tree) -> Iterator[Breach]:
    for path, source in _files(tree, but=VERSIONED):
        for line, _ in _matches(source.code, r"\bPY_(?:VERSION_HEX|MINOR_VERSION)\b"):
            yield Breach(path, line, "tests the version of CPython")


@rule("Call the other thing.")
def call_is_banned(tree: Tree) -> Iterator[Breach]:
    for path, source in tree.c.items():
        table = BANNED | BANNED_IN_LIBRARY if path.startswith("csrc/") else BANNED
        calls = rf"(?<![\w.>])({'|'.join(table)})\s*\("
        for line, match in _matches(source.code, calls):
            yield Breach(path, line, f"{match[1]}; instead: {table[match[1]]}")


@rule(f"Say in a comment right above, beginning with {SAFE}, why it cannot go wrong.")
def danger_is_not_explained(tree: Tree) -> Iterator[Breach]:
    for path, source in _files(tree, but=VERSIONED):
        lines = source.text.split("\n")
        for pattern, why in DANGEROUS.items():
            found = [line for line, _ in _matches(source.code, pattern)]
            yield from (Breach(path, line, why) for line in found if not is_explained(lines, line))


@rule("Take the GIL back first: leave the pair at its end.")
def gil_is_lost(tree: Tree) -> Iterator[Breach]:
    pair = r"Py_BEGIN_(ALLOW_THREADS|CRITICAL_SECTION)\b(.*?)Py_END_\1\b"
    for path, source in tree.c.items():
        for start, match in _matches(source.code, pattern=pair):
            for line, word in _matches(match[2], r"\b(return|goto)\b"):
                yield Breach(path, start + line - 1, f"{word[1]} inside {match[1]}")


@rule("Include it where it belongs in fibril.c's order, name it in meson.build, or delete it.")
def c_file_is_dead(tree: Tree) -> Iterator[Breach]:
    alive: set[str] = set()
    waiting = [*tree.paths("csrc/fibril.c", "tests/core/*.c")]
    while waiting:
        path = waiting.pop()
        if path not in alive:
            alive.add(path)
            waiting += _included(tree, path)
    built = tree.texts.get("meson.build", "")
    for path, _ in _files(tree, but=()):
        named = path.endswith(".S") and posixpath.basename(path) in built
        if path not in alive and not named:
            yield Breach(path, 1, "nothing includes it")


def is_explained(lines: list[str], number: int) -> bool:
    """Whether the line, or the lines above it up to a blank one, say SAFE."""
    while number > 0 and lines[number - 1].strip():
        if SAFE in lines[number - 1]:
            return True
        number -= 1
    return False


def _files(tree: Tree, but: tuple[str, ...]) -> Iterator[tuple[str, CSource]]:
    """The files of the native core, without some."""
    for path, source in tree.c.items():
        if path.startswith("csrc/") and not is_match(path, but):
            yield path, source


def _included(tree: Tree, path: str) -> list[str]:
    names = [name for _, name in tree.c[path].includes]
    beside = [posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) for name in names]
    return [found for found in [*beside, *(f"csrc/{name}" for name in names)] if found in tree.c]


def _matches(text: str, pattern: str) -> Iterator[tuple[int, re.Match[str]]]:
    for match in re.finditer(pattern, text, re.DOTALL):
        yield text.count("\n", 0, match.start()) + 1, match
