"""Kinds of recursion, each as a function of its depth: through C and back, or in C alone.

`KINDS[name]` has a function that goes n levels deep and comes back, or raises; how many levels are
asked of it at most; and whether a higher limit of Python's own recursion lets it go deeper, so that
what stops it is the C stack. What no version of CPython counts is asked for no more than a thread's
8 MiB hold.
"""

import ast
import contextvars
import copy
import ctypes
import functools
import importlib
import itertools
import json
import marshal
import pickle
import re
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """One kind of recursion."""

    attempt: Callable[[int], object]
    high: int
    is_python: bool  # each level has Python frames too, which the limit of Python counts


KINDS: dict[str, Kind] = {}
VERSION = sys.version_info[:2]


def kind(name: str, high: int = 10_000, is_python: bool = False) -> Callable[[Any], Any]:
    def add(attempt: Callable[[int], object]) -> Callable[[int], object]:
        KINDS[name] = Kind(attempt, high, is_python)
        return attempt

    return add


def nested(levels: int, wrap: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    """Something in something in something."""
    made: Any = wrap(0)
    for _ in range(levels):
        made = wrap(made)
    return made


# ---- Python called by C called by Python ----


class Level:
    """An object whose every special method asks the same of one that is a level lower."""

    def __init__(self, n: int) -> None:
        self.n = n

    def lower(self) -> "Level":
        return Level(self.n - 1)

    def __getattr__(self, name: str) -> int:
        if name != "absent":
            raise AttributeError(name)
        return self.lower().absent if self.n else 0

    def __call__(self) -> int:
        return self.lower()() if self.n else 0

    def __eq__(self, other: object) -> bool:
        return self.lower() == other if self.n else True

    __hash__ = None  # type: ignore[assignment]  # equal to all

    def __add__(self, other: int) -> int:
        return self.lower() + other if self.n else other

    def __str__(self) -> str:
        return str(self.lower()) if self.n else "end"

    def __repr__(self) -> str:
        return repr([self.lower()]) if self.n else "end"

    def __len__(self) -> int:
        return len(self.lower()) if self.n else 0

    def __contains__(self, item: object) -> bool:
        return item in self.lower() if self.n else True

    def __iter__(self) -> Any:
        return iter(self.lower()) if self.n else iter(())

    @property
    def value(self) -> int:
        return self.lower().value if self.n else 0

    def __reduce__(self) -> tuple[Any, ...]:
        return (list, ([self.lower()],)) if self.n else (list, ())


class New:
    """Making one makes another."""

    def __new__(cls, n: int) -> Any:
        return cls(n - 1) if n else 0


LEVEL_KINDS: dict[str, Callable[[Level], object]] = {
    "getattr": lambda level: level.absent,
    "call": lambda level: level(),
    "eq": lambda level: level == 0,
    "add": lambda level: level + 1,
    "str": str,
    "repr of an object": repr,
    "len": len,
    "contains": lambda level: 0 in level,
    "iter": iter,
    "property": lambda level: level.value,
    "reduce of pickle": pickle.dumps,
    "reduce of copy": copy.deepcopy,
}

for _name, _use in LEVEL_KINDS.items():
    kind(_name, is_python=True)(lambda n, use=_use: use(Level(n)))

kind("new", is_python=True)(New)


@kind("map", is_python=True)
def in_map(n: int) -> list[Any]:
    return list(map(in_map, [n - 1])) if n else []


@kind("partial", is_python=True)
def in_partial(n: int) -> int:
    return functools.partial(in_partial, n - 1)() if n else 0


# A level takes 5 KiB and counts little: to 3.13 a thread that goes on is ended by its guard.
@kind("sorted with a key", 1000 if VERSION < (3, 14) else 5000, is_python=True)
def in_sorted(n: int) -> list[int]:
    return sorted([1], key=lambda _: in_sorted(n - 1)) if n else []


@kind("max in min", is_python=True)
def in_max(n: int) -> int:
    return max([1], key=lambda _: min([1], key=lambda _: in_max(n - 1))) if n else 0


@kind("functools.reduce", is_python=True)
def in_reduce(n: int) -> Any:
    return functools.reduce(lambda *_: in_reduce(n - 1), [1, 2]) if n else 0


@kind("eval of text", is_python=True)
def in_eval(n: int) -> Any:
    return eval(f"in_eval({n - 1})", globals()) if n else 0


CODE = compile("found = in_exec(n - 1)", "code", "exec")


@kind("exec of code", is_python=True)
def in_exec(n: int) -> Any:
    return exec(CODE, {"in_exec": in_exec, "n": n}) if n else 0


def numbers(n: int) -> Any:
    if n:
        yield from numbers(n - 1)
    yield n


@kind("yield from", is_python=True)
def in_yield_from(n: int) -> int:
    return len(list(numbers(n)))


def nexts(n: int) -> Any:
    yield next(nexts(n - 1)) if n else 0


@kind("next", is_python=True)
def in_next(n: int) -> int:
    return next(nexts(n))


async def awaits(n: int) -> None:
    if n:
        await awaits(n - 1)


@kind("await", is_python=True)
def in_await(n: int) -> None:
    coroutine = awaits(n)
    try:
        coroutine.send(None)
    except StopIteration:
        pass


@kind("class statement", is_python=True)
def in_class(n: int) -> None:
    if n:

        class Body:
            found = in_class(n - 1)


@kind("metaclass", is_python=True)
def in_metaclass(n: int) -> Any:
    called = {"__call__": lambda _: in_metaclass(n - 1)}
    return type("Meta", (type,), called)("Made", (), {})() if n else 0


@kind("json default", is_python=True)
def in_json_default(n: int) -> Any:
    return json.dumps(Level, default=lambda _: in_json_default(n - 1) and 0) if n else "0"


@kind("re.sub", is_python=True)
def in_substitute(n: int) -> str:
    return re.sub("a", lambda _: in_substitute(n - 1), "a") if n else ""


@kind("contextvars", is_python=True)
def in_context(n: int) -> Any:
    return contextvars.Context().run(in_context, n - 1) if n else 0


# ctypes counts nothing: each level's Python frame is all that is counted.
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)


@kind("ctypes callback", 900, is_python=True)
def in_callback(n: int) -> int:
    refused: list[BaseException] = []

    def call(left: int) -> int:
        try:
            return called(left - 1) if left else 0
        except RecursionError as error:  # C has no way to pass it on
            refused.append(error)
            return 0

    called = CALLBACK(call)
    called(n)
    if refused:
        raise refused[0]
    return 0


@kind("chain of imports", 400, is_python=True)
def in_import(n: int) -> None:
    """A chain of modules, each of which imports the next."""
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{Path(folder).name}_{number}" for number in range(n + 1)]
        for name, target in itertools.pairwise([*names, "sys"]):
            Path(folder, f"{name}.py").write_text(f"import {target}\n", encoding="utf-8")
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        try:
            importlib.invalidate_caches()
            importlib.import_module(names[0])
        finally:
            sys.path.remove(folder)
            for name in names:
                sys.modules.pop(name, None)


# ---- C alone ----

DATA_KINDS: dict[str, Callable[[Any], object]] = {
    "repr of lists": repr,
    "json dumps": json.dumps,
    "pickle dumps": pickle.dumps,
    "pickle there and back": lambda data: pickle.loads(pickle.dumps(data)),
    "deepcopy": copy.deepcopy,
    "marshal": lambda data: marshal.loads(marshal.dumps(data)),
    "comparison": lambda data: data == copy_of(data),
}


def copy_of(data: Any) -> Any:
    levels = 0
    while data != [0] and isinstance(data[0], list):
        data, levels = data[0], levels + 1
    return nested(levels)


for _name, _consume in DATA_KINDS.items():
    kind(_name, 50_000)(lambda n, consume=_consume: consume(nested(n)))

kind("repr of dicts", 50_000)(lambda n: repr(nested(n, lambda inner: {1: inner})))
kind("json loads", 50_000)(lambda n: json.loads("[" * n + "]" * n))
kind("json loads of objects", 50_000)(lambda n: json.loads('{"a":' * n + "1" + "}" * n))
kind("hash", 50_000)(lambda n: hash(nested(n, lambda inner: (inner,))))
kind("isinstance", 50_000)(lambda n: isinstance(1, nested(n, lambda _: (str, _ or str))))
kind("chained iterators", 20_000)(
    lambda n: next(functools.reduce(lambda inner, _: itertools.chain(inner), range(n), iter([1])))
)
kind("wrappers")(
    lambda n: nested(n, lambda inner: functools.lru_cache(functools.partial(inner or int)))()
)
kind("repr of generic types", 2000)(
    lambda n: repr(nested(n, lambda inner: types.GenericAlias(list, (inner or int,))))
)

TEXT_KINDS: dict[str, tuple[Callable[[int], str], int]] = {
    "brackets": (lambda n: "(" * n + "1" + ")" * n, 300),
    "lists": (lambda n: "[" * n + "]" * n, 300),
    "calls": (lambda n: "f(" * n + ")" * n, 300),
    "a sum": (lambda n: "1" + "+a" * n, 12_000),
    "attributes": (lambda n: "a" + ".b" * n, 3500),
    "not": (lambda n: "not " * n + "1", 6500),
    "minus": (lambda n: "-" * n + "a", 3500),
    "powers": (lambda n: "a" + "**a" * n, 3500),
    "ternaries": (lambda n: "a if a else " * n + "a", 3500),
    "lambdas": (lambda n: "lambda: " * n + "a", 400),
    "subscripts": (lambda n: "a" + "[1]" * n, 3500),
}

for _name, (_text, _high) in TEXT_KINDS.items():
    kind(f"compile {_name}", _high)(lambda n, text=_text: compile(text(n), "text", "eval"))

kind("compile elif", 3500)(lambda n: compile("if a: pass\n" + "elif a: pass\n" * n, "text", "exec"))
kind("compile indented", 150)(
    lambda n: compile("".join(" " * i + "if a:\n" for i in range(n)) + " " * n + "a", "t", "exec")
)
kind("literal_eval", 300)(lambda n: ast.literal_eval("[" * n + "]" * n))
kind("parse, dump and unparse", 300)(
    lambda n: ast.unparse(ast.parse("(1," * n + ")" * n)) + ast.dump(ast.parse("[" * n + "]" * n))
)
kind("compile of a tree", 12_000)(
    lambda n: compile(
        ast.fix_missing_locations(
            ast.Expression(nested(n, lambda i: ast.UnaryOp(ast.Not(), i or ast.Constant(1))))
        ),
        "tree",
        "eval",
    )
)
kind("regular expression", 3500)(lambda n: re.compile("(?:" * n + "a" + ")" * n))

# ---- the end of what is deep ----

END_KINDS: dict[str, Callable[[Any], Any]] = {
    "lists": lambda inner: [inner],
    "tuples": lambda inner: (inner,),
    "dicts": lambda inner: {1: inner},
    "closures": lambda inner: lambda: inner,
    "partials": lambda inner: functools.partial(int, inner),
    "slices": slice,
}

for _name, _wrap in END_KINDS.items():
    kind(f"end of {_name}", 30_000)(lambda n, wrap=_wrap: nested(n, wrap) and None)
