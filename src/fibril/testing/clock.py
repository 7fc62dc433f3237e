"""Time that costs nothing: a world whose clock jumps to the next deadline as soon as all wait.

The idea: whatever waits takes its deadlines from the hub's clock (fibril.sleep, Timeout, every
`timeout=`, and time.sleep once it is patched), and only the hub sleeps. So a test gets a world of
its own by exchanging the hub's clock and poller, and nothing of the program need be replaced. When
everybody waits, the clock jumps to the next deadline: an hour costs microseconds, and the order is
the same each time.

The border of such a world: nobody carries a wait for time or for a descriptor over it. Entering is
refused while somebody waits for real ones; leaving ends who still waits for simulated ones. The
hub's clock never goes backwards on the way, so deadlines stay what they are.

Clocks of the standard library are not exchanged: time.monotonic() and time.time() tell the real
time everywhere. Ask SimClock.now().
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import ParamSpec, Protocol, Self, TypeVar

from fibril import _core, native
from fibril._core import getcurrent
from fibril._hub.report import Parked, parked_lines
from fibril.hub import Hub, get_hub
from fibril.task import kill

__all__ = ["SimClock", "simulated"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
# Whoever waits for time again when it is ended is ended again, so often.
_ENDING_ROUNDS_MAX = 8


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


class _OfThread(native.local):
    """What this module keeps for each native thread."""

    clock: SimClock | None = None


_here = _OfThread()


class SimClock:
    """A world whose time passes only when everybody waits, for the native thread that enters it.

    In its block the hub has a simulated clock and asks no kernel. As soon as every task is parked,
    the clock jumps to the next deadline; who has the same deadline runs in the order of asking.
    Descriptors are ready when feed() says so. While a native thread works on something that was
    expected (a threadpool's work, a name to resolve; Hub.expect), time stands still until it is
    done. Where nothing can happen any more, the main fiber gets LoopExit.

    Entering: refused with RuntimeError in such a world already, or while somebody waits for real
    time or a real descriptor; it says who. Tasks that are ready, or wait for anything else, go on
    inside. Leaving: tasks that wait for time or a descriptor get GreenletExit, and Timeouts that
    are pending are cancelled. Who waits for something else goes on in the real world; so does who
    will not end, with as much left to wait as it had.

    time.monotonic() and its like tell the real time, inside as well. Use now().

    Switches: never. Threads: owner.

    >>> import fibril
    >>> from fibril.testing import SimClock
    >>> with SimClock() as clock:
    ...     task = fibril.spawn_later(3600, print, "an hour later")
    ...     clock.advance(1800)
    ...     task.join()
    ...     clock.now()
    an hour later
    3600.0
    """

    READ, WRITE, HANGUP = 1, 2, 4

    def __init__(self) -> None:
        self._began_ns: int | None = None  # on the hub's clock; None: not entered

    @staticmethod
    def current() -> SimClock:
        """The clock of the world that this native thread is in.

        Switches: never. Threads: owner. Raises RuntimeError in the real world.
        """
        if _here.clock is None:
            raise RuntimeError(
                "there is no simulated clock: this native thread is in the real world. "
                "Enter one: with fibril.testing.SimClock() as clock."
            )
        return _here.clock

    def __enter__(self) -> Self:
        hub = get_hub()
        if hub.poller == "sim":
            raise RuntimeError(
                "cannot enter a simulated world: this native thread is in one. "
                "Use that: fibril.testing.SimClock.current()."
            )
        _refuse_waiting(hub)
        _core.sim_install()
        self._began_ns = _core.now_ns()
        _here.clock = self
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._check("leave")
        try:
            _end_waiting(get_hub())
        finally:
            _here.clock = self._began_ns = None
            _core.sim_remove()

    def _check(self, verb: str) -> int:
        """The moment of entering, on the hub's clock."""
        if self._began_ns is None or _here.clock is not self:
            raise RuntimeError(
                f"cannot {verb} the simulated world of {self!r}: this native thread is not in it. "
                "It belongs to the thread that entered it, until that leaves it."
            )
        return self._began_ns

    def now(self) -> float:
        """Simulated seconds since this world was entered.

        Switches: never. Threads: owner.
        """
        return (_core.now_ns() - self._check("tell the time of")) / 1e9

    def advance(self, seconds: float) -> None:
        """Let so much time pass, and run in order all that is due until then, or right then.

        0: only what is due now. It returns when everybody else is parked.

        Switches: always. Threads: owner. Raises ValueError if seconds is negative.
        """
        self._check("advance")
        if not seconds >= 0:
            raise ValueError(f"cannot advance by {seconds!r} seconds: time does not go backwards.")
        _core.sleep(seconds)
        _core.wait_idle()

    def feed(self, fd: int | _HasFileno, ready: int = READ) -> None:
        """Say that a descriptor is ready: who waits for it in this world goes on.

        fd: its number, which need not exist, or an object with fileno(). ready: READ, WRITE and
        HANGUP, or-ed. What is fed while nobody waits is kept, for the next who does.

        Switches: never. Threads: owner. Raises ValueError for another `ready`; OSError (EBADF) for
        a closed socket, and (ENOBUFS) if 256 are fed that nobody has looked at.
        """
        self._check("feed")
        if not 0 < ready <= self.READ | self.WRITE | self.HANGUP:
            raise ValueError(f"cannot feed {ready!r}: say READ, WRITE or HANGUP, or several or-ed.")
        _core.sim_feed(fd if isinstance(fd, int) else fd.fileno(), ready)


def simulated(fn: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a function, usually a test, that runs in a simulated world: see SimClock.

    Each call has a world of its own, which SimClock.current() gives it.

    Switches: never; the function as it does. Threads: any. Raises TypeError for what does not run
    when it is called: a class, or a generator or coroutine function.

    >>> import fibril
    >>> from fibril.testing import SimClock, simulated
    >>> @simulated
    ... def nap():
    ...     fibril.sleep(86400)
    ...     return SimClock.current().now()
    >>> nap()
    86400.0
    """
    is_late = inspect.isgeneratorfunction(fn) or inspect.iscoroutinefunction(fn)
    if isinstance(fn, type) or is_late or not callable(fn):
        raise TypeError(
            f"cannot simulate {fn!r}: its code does not run when it is called. "
            "Decorate a function or method, or use SimClock in a with statement."
        )

    @functools.wraps(fn)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with SimClock():
            return fn(*args, **kwargs)

    return run


def _refuse_waiting(hub: Hub) -> None:
    waiting = [Parked(*entry) for entry in hub.waiting()]
    if not waiting:
        return
    lines = "\n".join(parked_lines(hub, waiting))
    raise RuntimeError(
        "cannot enter a simulated world while real time or real descriptors are waited for:\n"
        f"{lines}\n"
        "Join, cancel or kill them before, or start them inside."
    )


def _end_waiting(hub: Hub) -> None:
    """Ends who waits for this world's time or descriptors, but neither main fiber nor caller."""
    spared = {id(hub), id(hub.main), id(getcurrent())}
    for _ in range(_ENDING_ROUNDS_MAX):
        waiting = hub.waiting()
        for fiber, _, subject in waiting:
            if id(fiber) not in spared and not fiber.dead:
                kill(fiber)
            elif isinstance(subject, _core.Timeout):
                subject.cancel()
        if all(id(fiber) in spared for fiber, _, _ in waiting):
            return
        _core.sleep(0)  # they end now, or wait again
