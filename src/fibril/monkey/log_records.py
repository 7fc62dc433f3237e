"""What a log record says of the task that made it.

The idea: since Python 3.12 `logging` notes the name of the asyncio task in `taskName`. The fibril
task's is put there where no asyncio task runs, and in 3.11 as well. It is done in the class, in
`LogRecord.__init__`, so records of every subclass and factory have it. Only where threads are
patched: else `threadName` tells of the native thread, and `logging` stays what it is.

An asyncio task counts only in the fiber that runs its loop: asyncio itself tells native threads
apart, and would name it in every fiber that runs while it waits.
Do not add: other attributes. A filter of the program's own can add those.
"""

import logging
import sys
from typing import Any

from fibril._core import Task, current_fiber, get_ident

__all__ = ["init_record"]

_HAS_TASK_NAME = sys.version_info >= (3, 12)
_settings = vars(logging)
_init_record = logging.LogRecord.__init__


def init_record(
    self: Any,
    name: str,
    level: int,
    pathname: str,
    lineno: int,
    msg: object,
    args: Any,
    exc_info: Any,
    func: str | None = None,
    sinfo: str | None = None,
    **kwargs: Any,
) -> None:
    """`logging.LogRecord.__init__`, for a record that has `taskName`.

    Switches: never. Threads: any.
    """
    # Written out: handed on as *args and **kwargs they made a record 7 % slower.
    if kwargs:
        _init_record(
            self, name, level, pathname, lineno, msg, args, exc_info, func, sinfo, **kwargs
        )
    else:
        _init_record(self, name, level, pathname, lineno, msg, args, exc_info, func, sinfo)
    if not _settings.get("logAsyncioTasks", True):
        self.taskName = None
        return
    fiber = current_fiber()
    own = fiber.name if isinstance(fiber, Task) else None
    may_be_asyncios = self.taskName is not None if _HAS_TASK_NAME else "asyncio" in sys.modules
    self.taskName = _name_in_loop() or own if may_be_asyncios else own


def _name_in_loop() -> str | None:
    """The name of the asyncio task that runs in this fiber, if it runs a loop."""
    asyncio: Any = sys.modules["asyncio"]
    get_loop = getattr(asyncio, "_get_running_loop", None)  # not there yet while it is imported
    loop = None if get_loop is None else get_loop()
    # Which fiber runs the loop; a loop that does not say so is taken at its word.
    if loop is None or getattr(loop, "_thread_id", None) not in (None, get_ident()):
        return None
    task = asyncio.current_task(loop)
    return None if task is None else str(task.get_name())
