"""Tasks that a test has started and left running.

The idea: who is alive when the test begins is not the test's, nor who is started while something
is made that outlives it, nor whom any of those starts. So two looks at all fibers there are tell
whose a task is, and nobody pays for it when tasks are started.

Not named: the idle workers of an executor, which are tasks where threads are patched.
Do not add: an end to them. They may serve what the next test needs, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import ref

from fibril import _core
from fibril._core import Fiber, Task
from fibril._hub.report import Parked, doing, name, place

__all__ = ["LeftRunning", "let_others_run"]

_SHOWN_MAX = 20
_TURNS_MAX = 100
_is_started = Task.started.__get__  # a class of tasks may have a `started` of its own


class _Living(NamedTuple):
    """A task that was started and has not ended: its state, and what it waits for."""

    task: Task
    state: str
    verb: str | None
    subject: Any


_Known = dict[int, ref[Fiber]]  # by identity: a class of tasks may compare as it likes


class LeftRunning:
    """Which tasks are a test's own.

    Switches: never, but lines(). Threads: owner.

    >>> import fibril
    >>> from fibril.testing.left_running import LeftRunning
    >>> left = LeftRunning()
    >>> left.begin()
    >>> with left.not_ours():
    ...     server = fibril.spawn(fibril.sleep, 60)
    >>> client = fibril.spawn_later(60, print, "never")
    >>> fibril.sleep(0)
    >>> left.lines()
    ['  task "Task-..." (...) has not begun, ...', '      spawned at ...']
    >>> fibril.killall([server, client])
    """

    def __init__(self) -> None:
        self._others: _Known = {}

    def begin(self) -> None:
        """A test begins: who is alive is not its own."""
        self._others = _known(_living())

    @contextmanager
    def not_ours(self) -> Iterator[None]:
        """A block that starts what outlives the test."""
        before = _known(_living())
        try:
            yield
        finally:
            new = [one for one in _living() if not _is_in(before, one.task)]
            self._others.update(_known(new))

    def lines(self) -> list[str]:
        """Let those end who are about to; say of each who is left what he does, and where.

        Switches: if somebody of them is ready.
        """
        if self._ours():
            let_others_run()
        ours = self._ours()
        lines = [line for one in ours[:_SHOWN_MAX] for line in _describe(one)]
        return (
            lines if len(ours) <= _SHOWN_MAX else [*lines, f"  … and {len(ours) - _SHOWN_MAX} more"]
        )

    def _ours(self) -> list[_Living]:
        return [one for one in _living() if not self._is_of_others(one.task)]

    def _is_of_others(self, fiber: Fiber | None) -> bool:
        while fiber is not None and not _is_in(self._others, fiber):
            spawner = getattr(fiber, "spawning_greenlet", None)
            fiber = None if spawner is None else spawner()
        return fiber is not None


def let_others_run() -> None:
    """Let run who is ready, until nobody is; not for ever, where somebody always is.

    Switches: if it must wait: for those. Threads: any.
    """
    for _ in range(_TURNS_MAX):
        if not _core.get_hub().has_ready():
            break
        _core.sleep(0)


def _living() -> list[_Living]:
    workers = _executor_workers()
    return [
        _Living(fiber, *rest)
        for _, fiber, *rest in _core.all_fibers()
        if isinstance(fiber, Task) and _is_started(fiber) and id(fiber) not in workers
    ]


def _executor_workers() -> set[int | None]:
    futures: Any = sys.modules.get("concurrent.futures.thread")
    return {thread.ident for thread in list(getattr(futures, "_threads_queues", ()))}


def _known(living: list[_Living]) -> _Known:
    return {id(one.task): ref(one.task) for one in living}


def _is_in(known: _Known, fiber: Fiber) -> bool:
    reference = known.get(id(fiber))
    return reference is not None and reference() is fiber


def _describe(one: _Living) -> Iterator[str]:
    what = doing(one.state, Parked(one.task, one.verb, one.subject))
    yield f"  {name(one.task)} {what}, at {place(one.task)}"
    if one.task.spawned_at is not None:
        yield "      spawned at {}:{} in {}".format(*one.task.spawned_at)
