"""`sys.stdin`, `stdout`, `stderr` and `displayhook` of one task only.

The idea: what a program prints goes to whatever `sys.stdout` is at that moment. While a task has
streams of its own, `sys` has a stand-in that asks who is running: that task is given its own, and
whoever else what was there before. Nothing is exchanged at switches: that would cost each of them,
and others would still see the task's streams in what runs without one, a destructor for example.

Invariants: to everybody else a stand-in is what it stands for, with its attributes, its class and
its errors. It is taken out again with the last task that needs it, or stays where somebody has put
it, and does no harm. Tasks that such a task starts have the program's streams.
Threads: any. Do not add: streams; the session of fibril.backdoor has its own.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from fibril import _core

__all__ = ["Streams", "own_streams", "stand_in"]


class Streams(NamedTuple):
    """What a task has in the place of sys' names."""

    stdin: Any
    stdout: Any
    stderr: Any
    displayhook: Callable[[object], None]


class _Nowhere(io.TextIOBase):
    """What others print to where sys has no stream: Python's own print() does nothing then."""

    def write(self, text: str, /) -> int:
        return len(text)


_own: dict[_core.Fiber, Streams] = {}


class _StandIn:
    """One of sys' names: the running task's own, or what was there."""

    __slots__ = ("_former", "_name")

    def __init__(self, name: str, former: Any) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_former", former)

    _former: Any
    _name: str

    def _now(self) -> Any:
        streams = _own.get(_core.current_fiber())
        if streams is not None:
            return getattr(streams, self._name)
        return _Nowhere() if self._former is None else self._former

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._now(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._now(), name)

    if not TYPE_CHECKING:  # for checkers an object's class can be set

        @property
        def __class__(self) -> type[Any]:
            return type(self._now())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._now()(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._now())

    def __eq__(self, other: object) -> bool:
        return bool(self._now() == (other._now() if type(other) is _StandIn else other))

    def __hash__(self) -> int:
        return hash(self._now())

    def __dir__(self) -> list[str]:
        return dir(self._now())

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __next__(self) -> str:
        return str(next(self._now()))

    def __enter__(self) -> Any:
        return self._now().__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self._now().__exit__(*error)


def stand_in() -> None:
    """See that a task's own streams are found, whatever others have put into sys meanwhile.

    Switches: never. Threads: any.
    """
    for name in Streams._fields:
        present = getattr(sys, name)
        if type(present) is not _StandIn:
            setattr(sys, name, _StandIn(name, present))


def _step_aside() -> None:
    for name in Streams._fields:
        present = getattr(sys, name)
        if type(present) is _StandIn:
            setattr(sys, name, present._former)


@contextmanager
def own_streams(streams: Streams) -> Iterator[None]:
    """In this block the running task has streams of its own.

    Switches: never. Threads: any.
    """
    task = _core.getcurrent()
    _own[task] = streams
    stand_in()
    try:
        yield
    finally:
        del _own[task]
        if not _own:
            _step_aside()
