"""Which asyncio loop runs in a thread that is a task: none, unless the task itself runs it.

The idea: asyncio keeps the running loop for each native thread. From late 3.13 on a future asks for
it, to see whether what it was chained to may be told at once, or its loop must be woken up. A task
of the loop's own native thread is told apart there by what a loop knows of its thread, which is the
identity that `threading` gives. A plain fiber counts as the task that started it: a greenlet of
a loop's is in the loop.

Do not add: get_running_loop() and the rest of asyncio's state, which are asyncio's own in C.
"""

from types import ModuleType, SimpleNamespace
from typing import Any

from fibril import native
from fibril._core import Fiber, Task, current_fiber
from fibril._io.names import reading
from fibril.libraries import when_imported

__all__ = ["adopt"]


def adopt() -> None:
    """Let futures wake up their loop from threads that are tasks, once asyncio is imported.

    Switches: never. Threads: owner; called once, by patch_thread.
    """
    when_imported("asyncio.futures", _adopt)


def _adopt(futures: ModuleType) -> None:
    names: Any = vars(futures)
    events = names["events"]

    def running_loop() -> Any:
        loop = events._get_running_loop()
        return loop if loop is None or _is_run_here(loop) else None

    shown = SimpleNamespace(_get_running_loop=running_loop)
    names["_chain_future"] = reading({**names, "events": shown}, names["_chain_future"])


def _is_run_here(loop: Any) -> bool:
    """Whether the current fiber, or the one that it is part of, runs the loop."""
    owner = getattr(loop, "_thread_id", None)
    if owner is None:
        return True  # nobody can tell
    fiber: Fiber | None = current_fiber()
    while fiber is not None and not isinstance(fiber, Task):
        if fiber.parent is None:
            return bool(owner == native.get_ident())
        fiber = fiber.parent
    return bool(owner == id(fiber))
