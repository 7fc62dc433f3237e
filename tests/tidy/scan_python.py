"""scan_python.py: what the rules need to know of a Python file, from its syntax tree.

Code lines are lines that are neither blank, nor only a comment, nor part of a docstring.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = Function | ast.ClassDef | ast.Module
NESTING = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)


class PythonFunction(NamedTuple):
    name: str  # with its class: "Queue.get"
    line: int
    code_lines: int
    parameters: int  # those that may be given by position, without self
    nesting: int


class PythonSource:
    """One Python file."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")

    @cached_property
    def module(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def docstring_lines(self) -> set[int]:
        found: set[int] = set()
        for node in ast.walk(self.module):
            if isinstance(node, Documented) and ast.get_docstring(node, clean=False) is not None:
                docstring = node.body[0]
                found.update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
        return found

    def count_code_lines(self, first: int, last: int) -> int:
        return sum(
            1
            for number in range(first, last + 1)
            if number not in self.docstring_lines
            and self.lines[number - 1].strip()
            and not self.lines[number - 1].lstrip().startswith("#")
        )

    @cached_property
    def code_lines(self) -> int:
        return self.count_code_lines(1, len(self.lines))

    @cached_property
    def functions(self) -> list[PythonFunction]:
        return [self._measure(name, node) for name, node in walk_functions(self.module, "")]

    def _measure(self, name: str, node: Function) -> PythonFunction:
        given = [*node.args.posonlyargs, *node.args.args]
        if given and given[0].arg in ("self", "cls"):
            del given[0]
        return PythonFunction(
            name,
            node.lineno,
            self.count_code_lines(node.lineno, node.end_lineno or node.lineno),
            len(given),
            max((nesting(child) for child in node.body), default=0),
        )

    @cached_property
    def exported(self) -> list[str] | None:
        """The names in __all__; None without one, or where it is computed."""
        for node in self.module.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if ast.unparse(targets[0]) == "__all__":
                return literal_names(node.value)
        return None

    @cached_property
    def first_imports(self) -> list[tuple[int, str]]:
        """Line and dotted name of what is imported when the module is: not in functions, and not
        for the type checker only. `from a import b` gives a.b."""
        return list(self._imports_of(self.module.body))

    def _imports_of(self, body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
        for node in body:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from self._imports_of(node.orelse)
            elif isinstance(node, ast.If | ast.Try | ast.With):
                yield from self._imports_of([*node.body, *getattr(node, "orelse", [])])

    def imports(self, module_name: str, is_package: bool) -> set[str]:
        """Dotted names that this file imports, given its own; `from a import b` gives a and a.b.

        A string that reads like a dotted name counts too: tables of modules are imports to come.
        """
        found: set[str] = set()
        for node in ast.walk(self.module):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = absolute(node, module_name, is_package)
                found.update([source, *(f"{source}.{alias.name}" for alias in node.names)])
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
        return found


def literal_names(node: ast.expr) -> list[str] | None:
    try:
        return [str(name) for name in ast.literal_eval(node)]
    except ValueError:
        return None


def absolute(node: ast.ImportFrom, module_name: str, is_package: bool) -> str:
    """The dotted name that `from …x import` means in this module."""
    if node.level == 0:
        return node.module or ""
    parts = module_name.split(".")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, node.module] if node.module else kept)


def walk_functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield prefix + child.name, child
        if isinstance(child, Function | ast.ClassDef):
            yield from walk_functions(child, f"{prefix}{child.name}.")
        else:
            yield from walk_functions(child, prefix)


def nesting(node: ast.AST) -> int:
    """How many blocks lie inside each other, this one included; `elif` is no deeper than `if`."""
    if isinstance(node, Function | ast.ClassDef | ast.Lambda):
        return 0
    if isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        inside = max(nesting(child) for child in node.body)
        return max(1 + inside, nesting(node.orelse[0]))
    inside = max((nesting(child) for child in ast.iter_child_nodes(node)), default=0)
    return inside + isinstance(node, NESTING)
