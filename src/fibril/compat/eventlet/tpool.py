"""eventlet.tpool, served by fibril: calls in native threads, and objects whose methods are.

The idea: one pool of fibril's, made when it is first needed, with as many threads as
EVENTLET_THREADPOOL_SIZE or set_num_threads() say.

Threads: any; in a thread of the pool itself a call is made at once.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from fibril.threadpool import ThreadPool

__all__ = ["Proxy", "execute", "killall", "set_num_threads", "setup"]

SYS_EXCS = (KeyboardInterrupt, SystemExit)
EXC_CLASSES = (Exception,)
QUIET = True

_nthreads = int(os.environ.get("EVENTLET_THREADPOOL_SIZE", "20"))
_pool: ThreadPool | None = None


def setup() -> None:
    """Make the pool, if there is none. Raises AssertionError for fewer than 0 threads."""
    global _pool
    if _nthreads < 0:
        raise AssertionError(f"cannot have {_nthreads} threads: EVENTLET_THREADPOOL_SIZE is < 0")
    if _nthreads == 0:
        warnings.warn(
            "Zero threads in tpool. All tpool.execute calls will execute in main thread. Check the "
            "value of the environment variable EVENTLET_THREADPOOL_SIZE.",
            RuntimeWarning,
            stacklevel=3,
        )
    elif _pool is None:
        _pool = ThreadPool(_nthreads)


def execute(meth: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call meth(*args, **kwargs) in a native thread; the others go on meanwhile.

    A greenthread that is killed, or whose Timeout strikes, leaves the call, which goes on.

    Switches: if it must wait. Threads: any.

    >>> from fibril import compat
    >>> compat.install("eventlet", "greenlet")
    >>> from eventlet import tpool
    >>> tpool.execute(sum, [1, 2, 3])
    6
    """
    if _pool is None:
        setup()
    if _pool is None:  # of no threads
        return meth(*args, **kwargs)
    return _pool.apply(meth, args, kwargs)


def killall() -> None:
    """End the threads when all calls are made; the next execute() begins anew."""
    global _pool
    _pool = None  # its calls keep it; with the last of them it is collected, and its threads end


def set_num_threads(nthreads: int) -> None:
    """How many threads the pool may have."""
    global _nthreads
    _nthreads = nthreads
    if _pool is not None:
        _pool.maxsize = nthreads


class Proxy:
    """An object whose methods are called in the pool, one after the other or side by side.

    autowrap: classes; what a method or attribute gives of these is a Proxy, too. autowrap_names:
    likewise what comes by these names.

    Switches: if it must wait. Threads: any.
    """

    def __init__(self, obj: Any, autowrap: Any = (), autowrap_names: Any = ()) -> None:
        self._obj = obj
        self._autowrap = autowrap if isinstance(autowrap, (tuple, list, set)) else (autowrap,)
        self._autowrap_names = autowrap_names

    def _wrapped(self, name: str, value: Any) -> Any:
        if isinstance(value, tuple(self._autowrap)) or name in self._autowrap_names:
            return Proxy(value, self._autowrap)
        return value

    def _call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if kwargs.pop("nonblocking", False):
            value = function(*args, **kwargs)
        else:
            value = execute(function, *args, **kwargs)
        return self._wrapped(name, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in dir(self._obj):
            raise AttributeError(name)
        value = getattr(self._obj, name)
        if not callable(value):
            return self._wrapped(name, value)

        def method(*args: Any, **kwargs: Any) -> Any:
            return self._call(name, value, *args, **kwargs)

        method.__name__, method.__doc__ = name, getattr(value, "__doc__", None)
        return method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("__call__", self._obj, *args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return self._call("__getitem__", self._obj.__getitem__, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        execute(self._obj.__setitem__, key, value)

    def __delitem__(self, key: Any) -> None:
        execute(self._obj.__delitem__, key)

    def __deepcopy__(self, memo: Any = None) -> Any:
        import copy

        return execute(copy.deepcopy, self._obj, memo)

    def __copy__(self) -> Any:
        import copy

        return execute(copy.copy, self._obj)

    def __enter__(self) -> Any:
        return self._call("__enter__", self._obj.__enter__)

    def __exit__(self, *exc_info: Any) -> Any:
        return execute(self._obj.__exit__, *exc_info)

    # What takes no time is not worth a thread.

    def __eq__(self, other: object) -> bool:
        return bool(self._obj == other)

    def __hash__(self) -> int:
        return hash(self._obj)

    def __repr__(self) -> str:
        return repr(self._obj)

    def __str__(self) -> str:
        return str(self._obj)

    def __len__(self) -> int:
        return len(self._obj)

    def __bool__(self) -> bool:
        return bool(self._obj)

    def __contains__(self, item: object) -> bool:
        return item in self._obj

    def __iter__(self) -> Iterator[Any]:
        # Each step may wait: a file, a cursor.
        iterator = execute(iter, self._obj)
        return self if iterator is self._obj else Proxy(iterator)

    def __next__(self) -> Any:
        # StopIteration cannot come out of the pool as a result.
        value = execute(next, self._obj, _END)
        if value is _END:
            raise StopIteration
        return value

    next = __next__


_END: Any = object()
