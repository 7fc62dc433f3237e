"""A tracer that counts switches and remembers who runs: what gevent's monitoring is built on.

The idea: greenlet's settrace() tells of each switch of a native thread. fibril's own watchdog needs
no tracer and costs nothing; this one is for programs that derive their own from gevent's.

Invariant: the tracer that was there before is told as well, and is there again afterwards.
Do not add: reports. fibril.util.format_run_info() writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fibril import _core
from fibril._core import Fiber, Hub

__all__ = ["GreenletTracer"]


class GreenletTracer:
    """Traces the switches of the native thread that makes it, until kill().

    A class of yours may override `_trace(event, args)`, and call it.

    Switches: never. Threads: owner, except did_block_hub.

    >>> import fibril
    >>> from fibril.inspect.tracer import GreenletTracer
    >>> tracer = GreenletTracer()
    >>> fibril.spawn(len, "abc").join()
    >>> tracer.greenlet_switch_counter > 0
    True
    >>> tracer.kill()
    """

    def __init__(self) -> None:
        #: Switches since did_block_hub() was last asked.
        self.greenlet_switch_counter = 0
        #: Who was switched to last; None: nobody who shall be watched.
        self.active_greenlet: Fiber | None = None
        self._is_killed = False
        self.previous_trace_function: Callable[[str, Any], object] | None = _core.settrace(self)

    def kill(self) -> None:
        """Trace no more; the former tracer is there again."""
        if not self._is_killed:
            self._is_killed = True
            _core.settrace(self.previous_trace_function)
            self.previous_trace_function = None

    def __call__(self, event: str, args: Any) -> None:
        self._trace(event, args)

    def _trace(self, event: str, args: Any) -> None:
        self.greenlet_switch_counter += 1
        self.active_greenlet = args[1] if event in ("switch", "throw") else None
        if self.previous_trace_function is not None:
            self.previous_trace_function(event, args)

    def did_block_hub(self, hub: Hub) -> tuple[bool, Fiber] | bool:
        """Has one fiber had the thread since this was last asked? (True, the fiber), or False.

        Not while it waits: whoever parks last is the one who asks the kernel.
        """
        active = self.active_greenlet
        has_switched, self.greenlet_switch_counter = self.greenlet_switch_counter > 0, 0
        if has_switched or active is None or active is hub:
            return False
        if any(active is fiber for fiber, *_ in hub.parked()):
            return False
        return True, active

    def ignore_current_greenlet_blocking(self) -> None:
        """Do not tell of the current fiber until another has run."""
        self.active_greenlet = None

    def monitor_current_greenlet_blocking(self) -> None:
        """Undo ignore_current_greenlet_blocking()."""
        self.active_greenlet = _core.getcurrent()
