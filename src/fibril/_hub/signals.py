"""Who listens to which signal of the process: several may, without a place of their own each.

The idea: Python calls one handler per signal, in the main thread, and promptly also while the hub
sleeps in the poller. So the first listener of a signal puts one handler of ours there, and the last
puts back what was there before.

Invariant: a handler that somebody else put there meanwhile stays.
Threads: main only, as for signal.signal. Listeners must not block.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from fibril import _core
from fibril._hub import handlers
from fibril.errors import InvalidThreadUseError

__all__ = ["checked", "listen", "unlisten"]

_listeners: dict[int, list[Callable[[], Any]]] = {}
_former: dict[int, Any] = {}


def checked(signalnum: int) -> int:
    """The number, if it is a signal that a program may handle.

    Switches: never. Threads: any. Raises ValueError.
    """
    if signalnum not in signal.valid_signals():
        raise ValueError(f"illegal signal number: {signalnum!r}. Use signal.SIGTERM and the like.")
    return int(signalnum)


def listen(signalnum: int, listener: Callable[[], Any]) -> None:
    """Call listener() at each signal of that number, besides other listeners.

    Switches: never. Threads: owner, the main one. Raises InvalidThreadUseError elsewhere, and
    OSError for a signal that cannot be handled.
    """
    if signalnum not in _listeners:
        try:
            _former[signalnum] = handlers.install_plain(signalnum, _dispatch)
        except ValueError as error:
            raise InvalidThreadUseError(
                f"cannot listen to signal {signalnum} here: Python handles signals in its main "
                "thread. Do it there."
            ) from error
        _listeners[signalnum] = []
    _listeners[signalnum].append(listener)


def unlisten(signalnum: int, listener: Callable[[], Any]) -> None:
    """Do not call it any more.

    Switches: never. Threads: owner, the main one.
    """
    listeners = _listeners[signalnum]
    listeners.remove(listener)
    if listeners:
        return
    del _listeners[signalnum]
    former = _former.pop(signalnum)
    if signal.getsignal(signalnum) is _dispatch:
        signal.signal(signalnum, signal.SIG_DFL if former is None else former)


def _dispatch(signalnum: int, frame: FrameType | None) -> None:
    for listener in tuple(_listeners.get(signalnum, ())):
        listener()
    _core.signal_handled()
