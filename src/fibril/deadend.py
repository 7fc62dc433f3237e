"""When nothing can happen any more, in any native thread of the process.

The idea: a hub that has nobody ready and nothing under way sleeps on while another native thread
runs Python, because that one could set an event. Where all the others are hubs that sleep for the
same reason, nobody can: each of them is woken and told, so each raises LoopExit in its own main
fiber. A thread that ends tells nobody, so who sleeps for such a reason asks again now and then,
less often each time.

Invariant: what is noted of a hub holds only as long as its count of switches is the same.
Threads: any; the GIL is the lock, and nothing here lets go of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from weakref import WeakKeyDictionary

from fibril import _core, native

_PATIENCE_S = 0.05  # how long the first sleep lasts; the next ones twice as long each
_PATIENCE_S_MAX = 5.0

#: Of each hub that sleeps at what may be a dead end: its count of switches, and how often it asked.
_asleep: WeakKeyDictionary[_core.Hub, tuple[int, int]] = WeakKeyDictionary()
#: Of each hub that was told: its count of switches then.
_told: WeakKeyDictionary[_core.Hub, int] = WeakKeyDictionary()


def _switches(hub: _core.Hub) -> int:
    return int(hub.statistics()["switches"])


def _is_asleep(hub: _core.Hub, switches: int) -> bool:
    return _switches(hub) == switches and not hub.has_ready()


def _wake(hub: _core.Hub) -> None:
    hub.expect(1)
    hub.expect(-1)


def patience_s(hub: _core.Hub, may_be_woken: Callable[[], bool]) -> float:
    """For how long a hub that has nothing to do may sleep before it asks again, in seconds.

    0: it need not sleep, this is a dead end. Infinity: for ever, because `may_be_woken` says that
    something from outside may come.

    Switches: never. Threads: owner.
    """
    switches = _switches(hub)
    if _told.pop(hub, None) == switches:
        return 0
    former, times = _asleep.pop(hub, (switches, 0))
    others = [other for other, (count, _) in _asleep.items() if _is_asleep(other, count)]
    if native.busy_thread_count() - 1 > len(others):
        times = times + 1 if former == switches else 1
        _asleep[hub] = switches, times
        return min(_PATIENCE_S * 2.0 ** min(times, 20), _PATIENCE_S_MAX)
    if may_be_woken():
        return math.inf
    for other in others:
        _told[other] = _asleep.pop(other)[0]
        _wake(other)
    return 0
