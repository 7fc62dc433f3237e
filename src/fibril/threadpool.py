"""Native threads that run what would block: fibers hand calls over and wait for the results.

The pools themselves are in fibril.dispatch: threads (how many), call (one of them), workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from fibril import _core
from fibril.dispatch.result import ThreadResult
from fibril.dispatch.threads import ThreadPool, default_pool

if TYPE_CHECKING:
    from fibril.dispatch.executor import ThreadPoolExecutor

__all__ = ["ThreadPool", "ThreadPoolExecutor", "ThreadResult", "default_pool", "offload"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def offload(fn: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Call fn(*args, **kwargs) in a native thread; the task that calls waits, and the others go on.

    For what blocks and cannot let others run: a database driver in C, a file, a computation that
    releases the GIL. Returns what fn returns, or raises what it raises. fn sees the caller's
    context variables. At most `get_hub().threadpool.maxsize` (10) of these calls run at a time, the
    others in the order they came. In such a thread itself, fn is called at once.

    A task that is killed, or whose time is over, before its call has begun takes the call back. One
    that has begun runs to its end: its result is dropped, and what it raises is given to the hub's
    handle_error, which prints it.

    Switches: always, but in a thread of the pool. Threads: any.

    >>> import fibril
    >>> fibril.offload(sum, [1, 2, 3])
    6
    """
    pool: ThreadPool = _core.get_hub().threadpool  # type: ignore[attr-defined]
    return pool.apply(fn, args, kwargs)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """ThreadPoolExecutor, when asked for: concurrent.futures imports much."""
        if name == "ThreadPoolExecutor":
            from fibril.dispatch.executor import ThreadPoolExecutor

            return ThreadPoolExecutor
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
