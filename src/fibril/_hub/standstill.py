"""What is told where only a signal or another native thread can make anything happen.

The idea: where nothing at all can happen, the main fiber gets LoopExit. Where a signal handler is
installed, or another thread runs, something may, so the hub sleeps; but if that lasts, it is more
likely a dead end that nobody would ever hear of. So the same report is printed once, after some
seconds, and the hub sleeps on.

Do not add: an end to it. A server may wait for its signal for months.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from fibril._hub.report import explain_standstill

if TYPE_CHECKING:
    from fibril.hub import Hub

__all__ = ["Patience", "set_standstill_limit"]

_FIRST_S, _LAST_S = 0.1, 5.0
_limit_s = 5.0


class Patience:
    """For how long one hub sleeps until it asks again whether this is a dead end.

    Longer each time, up to 5 s: a thread that ends tells nobody.

    Switches: never. Threads: owner.
    """

    def __init__(self) -> None:
        self._switches = -1  # of the hub, when it fell asleep
        self._sleep_s = self._slept_s = 0.0
        self._was_told = False

    def next_s(self, hub: Hub, is_for_signal: bool) -> float | None:
        """Seconds; None: for ever. Prints the report when it is time.

        is_for_signal: only a signal can make anything happen, and no thread.
        """
        switches = hub.statistics()["switches"]
        if switches != self._switches:
            self._switches, self._sleep_s, self._slept_s = switches, _FIRST_S, 0.0
            return _FIRST_S
        self._slept_s += self._sleep_s
        self._sleep_s = min(2 * self._sleep_s, _LAST_S)
        if not self._was_told and 0 < _limit_s <= self._slept_s:
            self._was_told = True
            _tell(hub, is_for_signal)
        is_silent = self._was_told or _limit_s == 0
        return None if is_for_signal and is_silent else self._sleep_s


def set_standstill_limit(seconds: float) -> float:
    """Set how long nothing must be possible but a signal or another thread before that is told.

    seconds: 5 unless set here or in the environment variable FIBRIL_STANDSTILL_LIMIT; 0: never.
    Then a report is printed on stderr, once for each hub: who waits for what. Returns the former
    limit.

    Switches: never. Threads: any; it holds for all. Raises ValueError for what is no such time.

    >>> from fibril.hub import set_standstill_limit
    >>> former = set_standstill_limit(0)
    >>> set_standstill_limit(former)
    0
    """
    global _limit_s
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"cannot wait {seconds!r} seconds before a report: give 0 or more.")
    former, _limit_s = _limit_s, seconds
    return former


def _tell(hub: Hub, is_for_signal: bool) -> None:
    stream = hub.exception_stream
    if stream is None:
        return
    print(explain_standstill(hub, _who(is_for_signal)), file=stream, flush=True)


def _who(is_for_signal: bool) -> str:
    if is_for_signal:
        return "a signal"
    current = threading.get_ident()
    others = [thread.name for thread in threading.enumerate() if thread.ident != current]
    return f"thread {' or '.join(map(repr, others[:5]))}" if others else "a thread of a C library"


def _read_limit() -> None:
    text = os.environ.get("FIBRIL_STANDSTILL_LIMIT")
    if text is None:
        return
    try:
        set_standstill_limit(float(text))
    except ValueError:
        print(
            f"FIBRIL_STANDSTILL_LIMIT={text!r} is ignored: it must be a number of seconds, or 0.",
            file=sys.stderr,
        )


_read_limit()
