"""eventlet.dagpool, served by fibril: greenthreads that need each other's results, by key.

The idea: a dict of values. Whoever waits for some keys takes those that are there, and waits for
the next news; each new value is news to all.

Threads: owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fibril import _core
from fibril._core import getcurrent

from . import greenthread

__all__ = ["Collision", "DAGPool", "PropagateError"]

_ALL: Any = object()
_MISSING: Any = object()


class Collision(Exception):
    """A key has a value already, or a greenthread that will post it."""


class PropagateError(Exception):
    """The value of a key whose greenthread raised `exc`; raised for whoever wants that value."""

    def __init__(self, key: Any, exc: Exception) -> None:
        super().__init__(f"PropagateError({key}): {type(exc).__name__}: {exc}")
        self.key, self.exc = key, exc


class _Running(NamedTuple):
    thread: greenthread.GreenThread
    pending: set[Any]  # keys whose values it has not been given


class DAGPool:
    """Values by key, and greenthreads that wait for some of them and post their own.

    preload: values that are there at first, a dict or pairs.

    Switches: never, but for what waits. Threads: owner.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> from eventlet.dagpool import DAGPool
    >>> pool = DAGPool({"a": 1})
    >>> _ = pool.spawn("b", "a", lambda key, results: sum(value for _, value in results) + 1)
    >>> pool["b"]
    2
    """

    def __init__(self, preload: Any = ()) -> None:
        self.values: dict[Any, Any] = dict(preload)
        self._running: dict[Any, _Running] = {}
        self._news = _core.Event()  # set, and replaced by another, at each new value

    # ---- waiting for values ----

    def _keys(self, keys: Any) -> set[Any]:
        return {*self.values, *self._running} if keys is _ALL else set(keys)

    def _each(self, pending: set[Any]) -> Iterator[tuple[Any, Any]]:
        """(key, value as it is) for all of them, in the order in which they come."""
        while pending:
            ready = [key for key in self.values if key in pending]
            if not ready:
                self._news.wait()
            for key in ready:
                pending.discard(key)
                yield key, self.values[key]

    def wait(self, keys: Iterable[Any] = _ALL) -> dict[Any, Any]:
        """The values of some keys, when all are there; of all that are known, if none is named.

        Raises PropagateError if one of them could not be made.

        Switches: if it must wait. Threads: owner.
        """
        return dict(self.wait_each(keys))

    def waitall(self) -> dict[Any, Any]:
        """wait() for all."""
        return self.wait()

    def wait_each(self, keys: Iterable[Any] = _ALL) -> Iterator[tuple[Any, Any]]:
        """Iterate over (key, value) in the order in which values come."""
        return self._checked(self._each(self._keys(keys)))

    @staticmethod
    def _checked(pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        for key, value in pairs:
            yield key, _checked(value)

    def wait_each_success(self, keys: Iterable[Any] = _ALL) -> Iterator[tuple[Any, Any]]:
        """wait_each(), without those that could not be made."""
        for key, value in self._each(self._keys(keys)):
            if not isinstance(value, PropagateError):
                yield key, value

    def wait_each_exception(self, keys: Iterable[Any] = _ALL) -> Iterator[tuple[Any, Any]]:
        """(key, PropagateError) for each that could not be made."""
        for key, value in self._each(self._keys(keys)):
            if isinstance(value, PropagateError):
                yield key, value

    def __getitem__(self, key: Any) -> Any:
        """wait() for one."""
        return self.wait((key,))[key]

    # ---- making values ----

    def spawn(
        self,
        key: Any,
        depends: Iterable[Any],
        function: Callable[..., Any],
        *args: Any,
        **kwds: Any,
    ) -> greenthread.GreenThread:
        """Have function(key, results, *args, **kwds) return a key's value, in a greenthread.

        depends: keys; `results` iterates over (key, value) of these. Raises Collision if the key is
        taken.
        """
        if key in self.values or key in self._running:
            raise Collision(key)
        pending = set(depends)
        results = self._checked(self._each(pending))
        thread = greenthread.spawn(self._make, key, results, function, args, kwds)
        self._running[key] = _Running(thread, pending)
        return thread

    def _make(self, key: Any, results: Any, function: Any, args: Any, kwds: Any) -> None:
        try:
            value = function(key, results, *args, **kwds)
        except Exception as error:
            value = PropagateError(key, error)
        if key in self._running:  # else the function has posted it
            self.post(key, value)

    def spawn_many(
        self, depends: Mapping[Any, Any], function: Callable[..., Any], *args: Any, **kwds: Any
    ) -> None:
        """spawn() for each key and what it depends on."""
        for key, needed in depends.items():
            self.spawn(key, needed, function, *args, **kwds)

    def kill(self, key: Any) -> None:
        """Kill the greenthread of a key, and forget the key. Raises KeyError if none runs."""
        self._running.pop(key).thread.kill()

    def post(self, key: Any, value: Any, replace: bool = False) -> None:
        """Give a key its value. Raises Collision if it has one, unless `replace`, or will have."""
        running = self._running.get(key)
        if running is not None:
            if running.thread is not getcurrent():
                raise Collision(key)
            del self._running[key]
        elif key in self.values and not replace:
            raise Collision(key)
        self.values[key] = value
        news, self._news = self._news, _core.Event()
        news.set()

    # ---- what there is ----

    def get(self, key: Any, default: Any = None) -> Any:
        """A key's value, or the default. Raises PropagateError if it could not be made."""
        return _checked(self.values.get(key, default))

    def keys(self) -> tuple[Any, ...]:
        """The keys that have values."""
        return tuple(self.values)

    def items(self) -> tuple[tuple[Any, Any], ...]:
        """(key, value) of these. Raises PropagateError if one could not be made."""
        return tuple((key, _checked(value)) for key, value in self.values.items())

    def running(self) -> int:
        """How many greenthreads run."""
        return len(self._running)

    def running_keys(self) -> tuple[Any, ...]:
        """Their keys."""
        return tuple(self._running)

    def waiting(self) -> int:
        """How many of them wait for values."""
        return len(self.waiting_for())

    def waiting_for(self, key: Any = _MISSING) -> Any:
        """The keys that one waits for, as a set; without a key {key: set} of all that wait.

        Raises KeyError for a key that has no value and no greenthread.
        """
        if key is _MISSING:
            waiting = {each: self.waiting_for(each) for each in self._running}
            return {each: pending for each, pending in waiting.items() if pending}
        if key in self._running:
            return self._running[key].pending - self.values.keys()
        if key in self.values:
            return set()
        raise KeyError(key)


def _checked(value: Any) -> Any:
    if isinstance(value, PropagateError):
        raise value
    return value
