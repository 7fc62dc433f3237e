"""Native threads that run what would block: fibers hand calls over and wait for the results.

The pools themselves are in fibril.dispatch: threads (how many), call (one of them), workers. They
come when they are first asked for: a program that offloads nothing does not load them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from fibril import _core

if TYPE_CHECKING:
    from fibril.dispatch.executor import ThreadPoolExecutor
    from fibril.dispatch.result import ThreadResult
    from fibril.dispatch.threads import ThreadPool

__all__ = ["ThreadPool", "ThreadPoolExecutor", "ThreadResult", "default_pool", "offload"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_default: dict[str, ThreadPool] = {}  # one for the process, made when somebody first asks


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


def default_pool(make: Callable[..., ThreadPool], maxsize: int) -> ThreadPool:
    """The pool that all hubs of the process share; make(maxsize, idle_task_timeout=…) if need be.

    One for the process, where gevent has one for each hub: it is the process that the limit on
    threads protects, a pool works for any thread, and a thread that ends leaves nothing behind.

    Switches: never. Threads: any.
    """
    pool = _default.get("pool")
    if pool is None:
        from fibril._hub.loophub import chosen_setting
        from fibril.dispatch.workers import IDLE_S

        name = "threadpool_idle_task_timeout"
        idle_s = chosen_setting(name, "GEVENT_THREADPOOL_IDLE_TASK_TIMEOUT") or IDLE_S
        pool = _default.setdefault("pool", make(maxsize, idle_task_timeout=idle_s))
    return pool


if not TYPE_CHECKING:
    _MODULES = {
        "ThreadPool": "threads",
        "ThreadPoolExecutor": "executor",  # which imports concurrent.futures
        "ThreadResult": "result",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"fibril.dispatch.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
