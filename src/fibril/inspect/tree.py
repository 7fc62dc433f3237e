"""What there is to see in a running program: every native thread, every fiber, as a tree.

The idea: the core lists all fibers of the process, with what each waits for. A tree hangs each
task below the fiber that spawned it; one whose spawner is gone hangs below its thread's main fiber.
Nothing needs to be turned on before.

Do not add: ways to look at another process. Those are in fibril.inspect.outside.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, TextIO

from fibril import _core
from fibril._core import Fiber, Hub, Task, getcurrent
from fibril._hub.report import Parked, doing, format_stack, innermost_frame, is_main, name, short
from fibril.local import all_local_dicts_for_greenlet

__all__ = ["FiberTree", "format_run_info", "print_run_info"]


def print_run_info(
    thread_stacks: bool = True,
    greenlet_stacks: bool = True,
    limit: int | None = None,
    file: TextIO | None = None,
) -> None:
    """Print what every native thread and every fiber of the process is doing.

    thread_stacks, greenlet_stacks: with their stacks. limit: at most that many calls of each. file:
    where to; None: sys.stderr.

    Switches: never. Threads: any.
    """
    lines = format_run_info(thread_stacks, greenlet_stacks, limit)
    print("\n".join(lines), file=sys.stderr if file is None else file)


def format_run_info(
    thread_stacks: bool = True, greenlet_stacks: bool = True, limit: int | None = None
) -> list[str]:
    """Return what print_run_info() prints, as a list of lines.

    Switches: never. Threads: any.

    >>> import fibril
    >>> from fibril.util import format_run_info
    >>> task = fibril.spawn(fibril.sleep, 1)
    >>> fibril.sleep(0)
    >>> any("waits to sleep" in line for line in format_run_info())
    True
    >>> task.kill()
    """
    lines = ["Threads", "======="]
    lines += _thread_lines(thread_stacks, limit)
    lines += ["Fibers", "======"]
    details = {"running_stacks": greenlet_stacks, "limit": limit}
    for tree in FiberTree.forest():
        lines += [*tree.format_lines(details), ""]
    return lines


def _thread_lines(with_stacks: bool, limit: int | None) -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    current = threading.get_ident()
    for ident, frame in sys._current_frames().items():
        mark = ", the current one" if ident == current else ""
        yield f"thread {ident:#x} ({names.get(ident, 'unnamed')}{mark})"
        if with_stacks:
            yield from _stack_lines(frame, limit)
        yield ""


def _stack_lines(frame: FrameType | None, limit: int | None) -> Iterator[str]:
    for entry in format_stack(frame, limit):
        yield from entry.rstrip("\n").split("\n")


class FiberTree:
    """A fiber and, below it, those that it spawned; gevent's GreenletTree.

    Switches: never. Threads: any.

    >>> import fibril
    >>> from fibril.util import FiberTree
    >>> task = fibril.spawn(fibril.sleep, 1)
    >>> [child.greenlet is task for child in FiberTree.current_tree().child_trees]
    [True]
    >>> task.kill()
    """

    #: What format() shows unless told otherwise.
    DEFAULT_DETAILS: Mapping[str, Any] = {"running_stacks": True, "limit": None}

    def __init__(self, fiber: Fiber, state: str, verb: str | None, subject: Any) -> None:
        self.greenlet = fiber
        self.child_trees: list[FiberTree] = []
        self._state = state
        self._parked = Parked(fiber, verb, subject)

    @classmethod
    def forest(cls) -> list[FiberTree]:
        """Return a tree for the main fiber of each native thread that uses fibers."""
        census = [entry for entry in _core.all_fibers() if not isinstance(entry[1], Hub)]
        trees = {id(fiber): cls(fiber, *rest) for _, fiber, *rest in census}
        roots = {ident: trees[id(fiber)] for ident, fiber, *_ in census if is_main(fiber)}
        for ident, fiber, *_ in census:
            tree, root = trees[id(fiber)], roots.get(ident)
            above = trees.get(id(_spawner(fiber)), root)
            if above is not None and tree is not root:
                above.child_trees.append(tree)
        return list(roots.values())

    @classmethod
    def current_tree(cls) -> FiberTree:
        """Return the tree that the current fiber is in, from its thread's main fiber on."""
        getcurrent()  # a thread that never asked for fibers has one from now on
        return next(tree for tree in cls.forest() if tree.is_current_tree)

    @property
    def root(self) -> bool:
        """Whether it is the main fiber of a native thread."""
        return is_main(self.greenlet)

    @property
    def is_current_tree(self) -> bool:
        """Whether the current fiber is this one or somewhere below."""
        return self.greenlet is getcurrent() or any(t.is_current_tree for t in self.child_trees)

    def format(self, details: Mapping[str, Any] | bool = True) -> str:
        """Return the tree as text.

        details: False shows names only; a mapping may say running_stacks=False and limit=n calls.
        """
        return "\n".join(self.format_lines(details))

    def format_lines(self, details: Mapping[str, Any] | bool = True) -> list[str]:
        """Return the lines of format()."""
        if not details:
            chosen: dict[str, Any] = {"running_stacks": False, "limit": None}
        else:
            chosen = {**self.DEFAULT_DETAILS, **(details if isinstance(details, Mapping) else {})}
        return list(self._lines(chosen))

    def __str__(self) -> str:
        return self.format(False)

    def _lines(self, details: Mapping[str, Any]) -> Iterator[str]:
        yield self._title()
        last = self.child_trees[-1] if self.child_trees else None
        stem = "│ " if last is not None else "  "
        yield from (f"{stem}    {line}" for line in self._detail_lines(details))
        for child in self.child_trees:
            first, rest = ("└─ ", "   ") if child is last else ("├─ ", "│  ")
            for line in child._lines(details):
                yield first + line
                first = rest

    def _title(self) -> str:
        fiber = self.greenlet
        return f"{name(fiber)} {doing(self._state, self._parked)}"

    def _detail_lines(self, details: Mapping[str, Any]) -> Iterator[str]:
        fiber = self.greenlet
        if details["running_stacks"]:
            yield from _stack_lines(innermost_frame(fiber), details["limit"])
            if fiber.parent is not None:
                yield f"Parent: {name(fiber.parent)}"
        if isinstance(fiber, Task) and fiber.spawned_at is not None:
            yield "Spawned at {}:{} in {}".format(*fiber.spawned_at)
        if isinstance(fiber, Task) and (shared := fiber.spawn_tree_locals):
            yield f"Spawn Tree Locals: {short(shared)}"
        own = [entry for entry in all_local_dicts_for_greenlet(fiber) if entry[1]]
        if own:
            yield "Greenlet Locals:"
        yield from (f"  {kind} at {ident:#x}: {short(values)}" for (kind, ident), values in own)


def _spawner(fiber: Fiber) -> Fiber | None:
    reference = getattr(fiber, "spawning_greenlet", None)
    return None if reference is None else reference()
