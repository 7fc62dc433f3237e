"""rules_python.py: what Python code here may not leave to the place where it runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.tidy.rule import rule
from tests.tidy.tree import Breach, Tree

# Function or method → how many positional arguments it takes before those that choose a text's
# encoding by themselves.
MODE_AT = {"open": 1, "TemporaryFile": 0, "NamedTemporaryFile": 0}
TEXT_AT = {"read_text": 0, "write_text": 1}
MODE = re.compile(r"[rwax+bt]+")


@rule('Say encoding="utf-8": without it a text means something else where the locale is POSIX.')
def encoding_is_unspecified(tree: Tree) -> Iterator[Breach]:
    for path, source in tree.python.items():
        for node in ast.walk(source.module):
            if isinstance(node, ast.Call) and is_text_without_encoding(node):
                yield Breach(path, node.lineno, f"{called(node)} without an encoding")


def called(call: ast.Call) -> str:
    """The last word of what is called."""
    return str(getattr(call.func, "attr", None) or getattr(call.func, "id", ""))


def is_text_without_encoding(call: ast.Call) -> bool:
    name, count = called(call), len(call.args)
    if any(keyword.arg in ("encoding", None) for keyword in call.keywords):
        return False
    if name in TEXT_AT:
        return isinstance(call.func, ast.Attribute) and count <= TEXT_AT[name]
    if name not in MODE_AT:
        return False
    mode = mode_of(call, name)
    if name != "open":
        return mode is not None and "b" not in mode
    is_builtin = isinstance(call.func, ast.Name)
    return "b" not in mode if mode is not None else is_builtin and count == 1


def mode_of(call: ast.Call, name: str) -> str | None:
    """The mode, if it is written out. A path's open() takes it as the first argument."""
    at = MODE_AT[name] if isinstance(call.func, ast.Name) else 0
    given = call.args[at : at + 1] + [word.value for word in call.keywords if word.arg == "mode"]
    for node in given:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value if MODE.fullmatch(node.value) else None
    return None
