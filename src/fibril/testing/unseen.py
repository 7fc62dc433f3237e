"""Tasks that died of an exception which nobody has looked at.

The idea: the hub tells of every error, and the core of the first look at how a task failed (get(),
exception, exc_info, successful(), a link_exception). What is left between the two is unseen. To
wait for a task is no look, and neither is the traceback that the hub prints.

Invariant: only text is kept. A reference to the task or to its exception would keep its frames, and
with them a socket, say, for whose end the other side waits.
Do not add: errors in callbacks. They come the same way as those of a thread pool's calls, of which
nobody can tell whether their result was looked at.
"""

from __future__ import annotations

import traceback
from functools import partial
from itertools import count
from types import TracebackType

from fibril import _core
from fibril._core import Task
from fibril._hub.report import describe, name
from fibril.hub import error_listeners

__all__ = ["take", "unwatch", "watch"]

_SHOWN_MAX = 10
_numbers = count()
_unseen: dict[int, str] = {}


def watch() -> None:
    """Note from now on who dies.

    Switches: never. Threads: any; it holds for all.
    """
    if _note not in error_listeners:
        error_listeners.append(_note)


def unwatch() -> None:
    """Note it no longer.

    Switches: never. Threads: any; it holds for all.
    """
    if _note in error_listeners:
        error_listeners.remove(_note)


def take() -> list[str]:
    """Return what there is to say of those who died since the last call and are unseen.

    Switches: never. Threads: any.

    >>> import fibril
    >>> from fibril.testing import unseen
    >>> unseen.watch()
    >>> fibril.get_hub().exception_stream = None
    >>> task = fibril.spawn(int, "one")
    >>> task.join()
    >>> print(unseen.take()[0])
    task "Task-0" (<class 'int'>('one')) died of ValueError
    <Task "Task-0" at 0x...: <class 'int'>('one'), spawned at ...>
    ...ValueError: invalid literal for int() with base 10: 'one'
    <BLANKLINE>
    """
    texts = [_unseen.pop(number) for number in list(_unseen)]
    rest = len(texts) - _SHOWN_MAX
    return [*texts[:_SHOWN_MAX], f"… and {rest} more"] if rest > 0 else texts


def _note(
    context: object,
    typ: type[BaseException],
    value: BaseException,
    tb: TracebackType | None,
) -> None:
    if not isinstance(context, Task):
        return
    number = next(_numbers)
    lines = [f"{name(context)} died of {typ.__name__}\n{describe(context)}\n"]
    if len(_unseen) < _SHOWN_MAX:  # beyond those a count will do: a traceback takes 0.1 ms
        lines += traceback.format_exception(typ, value, tb)
    _unseen[number] = "".join(lines)
    _core.when_seen(context, partial(_unseen.pop, number, None))
