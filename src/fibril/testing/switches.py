"""What must switch, and what must not: assertions about a block of code.

The idea: while there is such a block, the native thread has a tracer (_core.watch), which is told
of each switch, and of each park that nobody else used. So nobody pays while there is none. The
first that happens after a block was entered can only be that its own fiber is left.

Invariants: blocks may be nested, and those of several fibers may overlap; there is one tracer for
all of them, and the one that was there before is told as well, and is there again afterwards.
Do not add: a way to be told of switches. That is greenlet's settrace().
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from types import TracebackType
from typing import Protocol, Self

from fibril import _core, native
from fibril._core import Fiber, getcurrent
from fibril._hub.report import name, place
from fibril.errors import FailedToSwitch, UnexpectedSwitch
from fibril.hub import get_hub

__all__ = ["assert_no_switch", "assert_switches"]


class _OfThread(native.local):
    """What this module keeps for each native thread."""

    watcher: _Watcher | None = None


_here = _OfThread()


class _Block(Protocol):
    """A block in which switches are watched."""

    def note(self, event: str, origin: Fiber, target: Fiber) -> None:
        """`origin` was left for `target`, which runs now; or it parked and goes on itself."""


class _Watcher:
    """The callback of _core.watch: tells each block of this thread, and the tracer before it.

    It is installed only while there are blocks, so nobody else pays for it.
    """

    def __init__(self) -> None:
        self.blocks: list[_Block] = []
        self.former: Callable[[str, tuple[Fiber, Fiber]], object] | None = None

    def __call__(self, event: str, pair: tuple[Fiber, Fiber]) -> None:
        for block in tuple(self.blocks):
            block.note(event, *pair)
        if self.former is not None and (event != "stay" or isinstance(self.former, _Watcher)):
            self.former(event, pair)


def _watch(block: _Block) -> _Watcher:
    watcher = _here.watcher
    if watcher is None or _core.gettrace() is not watcher:
        watcher = _here.watcher = _Watcher()
        watcher.former = _core.watch(watcher)
    watcher.blocks.append(block)
    return watcher


def _unwatch(block: _Block, watcher: _Watcher) -> None:
    if block in watcher.blocks:
        watcher.blocks.remove(block)
    if watcher.blocks or _core.gettrace() is not watcher:
        return
    restore = _core.watch if isinstance(watcher.former, _Watcher) else _core.settrace
    restore(watcher.former)
    _here.watcher = watcher.former if isinstance(watcher.former, _Watcher) else None


class _Stretch:
    """For how long the thread has run since it was last left, and the longest time it did."""

    def __init__(self) -> None:
        self._began_ns = monotonic_ns()
        self._slept_ns = _core.slept_ns()
        self.longest_s = 0.0
        self.culprit = "nobody"
        self.place = ""

    def end(self, culprit: Fiber) -> None:
        """It ends here; the hub's sleep, which comes at the end of one, does not count."""
        now_ns, slept_ns = monotonic_ns(), _core.slept_ns()
        ran_s = (now_ns - self._began_ns - (slept_ns - self._slept_ns)) / 1e9
        self._began_ns, self._slept_ns = now_ns, slept_ns
        if ran_s > self.longest_s:
            self.longest_s = ran_s
            self.culprit, self.place = name(culprit, get_hub()), place(culprit)


class assert_switches:  # noqa: N801
    """A block that must let others run: raises FailedToSwitch at its end if it did not.

    To wait for anything counts, also if nobody else was there to run. max_blocking_time: instead,
    for how many real seconds the thread may run at a time, sleep not counted; then a block that is
    done sooner need not switch. hub_only: of that time, what counts is how long the hub did not
    run; to switch by hand to another fiber does not end it.

    An exception in the block goes on, and nothing is asserted. Meanwhile each switch of this native
    thread costs about a microsecond.

    Switches: never. Threads: owner.

    >>> import fibril
    >>> from fibril.testing import assert_switches
    >>> with assert_switches():
    ...     fibril.sleep(0)
    """

    def __init__(self, max_blocking_time: float | None = None, hub_only: bool = False) -> None:
        self.max_blocking_time = max_blocking_time
        self.hub_only = hub_only
        self._has_switched = False
        self._stretch: _Stretch | None = None
        self._watcher: _Watcher | None = None
        self._place = ""

    def note(self, event: str, origin: Fiber, target: Fiber) -> None:
        """Called by the watcher at each switch of this thread.

        Switches: never. Threads: owner.
        """
        if origin is target and event != "stay":  # it switched to itself
            return
        self._has_switched = True
        if self._stretch is not None and not (self.hub_only and _left_by_hand(origin)):
            self._stretch.end(origin)

    def __enter__(self) -> Self:
        if self._watcher is not None:
            raise RuntimeError(f"cannot enter {self!r}: it is entered. Make one for each block.")
        self._place = place(getcurrent())
        self._has_switched = False
        self._watcher = _watch(self)
        self._stretch = _Stretch() if self.max_blocking_time else None
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            _unwatch(self, watcher)
        if typ is not None:
            return
        if self._stretch is not None:
            self._stretch.end(getcurrent())
            self._refuse_long(self._stretch)
        elif not self._has_switched:
            raise FailedToSwitch(
                f"nobody else could run in the block that begins at {self._place}: "
                f"{name(getcurrent(), get_hub())} neither waited nor switched. If it has much to "
                "do, let others run at times: fibril.sleep(0)."
            )

    def _refuse_long(self, stretch: _Stretch) -> None:
        if not self.max_blocking_time or stretch.longest_s <= self.max_blocking_time:
            return
        whom = "the hub" if self.hub_only else "others"
        raise FailedToSwitch(
            f"{whom} could not run for {stretch.longest_s:.4f} seconds, in the block that begins "
            f"at {self._place}; {self.max_blocking_time} are allowed. {stretch.culprit} ran last, "
            f"until {stretch.place}. Let others run in between: fibril.sleep(0)."
        )


class assert_no_switch:  # noqa: N801
    """A block that nobody else may run in: raises UnexpectedSwitch at its end if it was left.

    To wait counts, also if nobody else was there to run: next time there may be. The error names
    the line where it was left first. An exception in the block goes on, and nothing is asserted.

    Switches: never. Threads: owner.

    >>> from fibril.testing import assert_no_switch
    >>> accounts = {"mine": 10, "yours": 0}
    >>> with assert_no_switch():
    ...     accounts["mine"] -= 5
    ...     accounts["yours"] += 5
    """

    def __init__(self) -> None:
        self._watcher: _Watcher | None = None
        self._left = ""

    def note(self, event: str, origin: Fiber, target: Fiber) -> None:
        """Called by the watcher at each switch of this thread; the first leaves the block.

        Switches: never. Threads: owner.
        """
        if self._left or (origin is target and event != "stay"):
            return
        hub = get_hub()
        instead = "nobody" if origin is target else name(target, hub)
        self._left = f"{name(origin, hub)} was left at {place(origin)}; {instead} ran then"

    def __enter__(self) -> Self:
        if self._watcher is not None:
            raise RuntimeError(f"cannot enter {self!r}: it is entered. Make one for each block.")
        self._left = ""
        self._watcher = _watch(self)
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            _unwatch(self, watcher)
        if typ is None and self._left:
            raise UnexpectedSwitch(
                f"the block must not let others run, but {self._left}. Do not wait in it, or "
                "hold a lock instead."
            )


def _left_by_hand(fiber: Fiber) -> bool:
    """Did it name who runs? A task that ends lets the hub choose; a fiber that ends does not."""
    return _core.was_left_by_hand(fiber) or (fiber.dead and not isinstance(fiber, _core.Task))
