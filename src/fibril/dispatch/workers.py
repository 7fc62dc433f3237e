"""Native threads that take jobs from a line, and the number that there may be of them.

The idea: a job is put in the line, and then a thread is found for it: the one that became idle
last, or a new one, or, if there may be no more, whoever is done first. A thread looks at the line,
says that it is idle, looks again, and only then goes to sleep; so either it sees the job or whoever
put it there sees the thread.

Invariants: no lock. Each step is one operation on a dict or list of the interpreter's, which the
GIL makes whole, so a destructor or a signal handler may hand in a job in the middle of anything.
Whoever takes a job out of the line has it for himself: a thread to run it, a canceller to drop it.
The threads are started by the interpreter's original primitive, so they stay native under any
patch; nobody waits for them, and none keeps the process alive.
Do not add: results, and whatever else knows of fibers: fibril.threadpool's. Ways to stop a job that
runs: a native thread cannot be interrupted.
"""

import os
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fibril import _core, native
from fibril.timeout import Deadline

__all__ = ["Allowance", "Workers", "renew_after_fork"]

IDLE_S = 5.0  # a thread without work waits this long before it ends

Job = Callable[[], object]


class Allowance:
    """Permits whose number may be changed while they are out.

    What is taken away while it is out is owed, and is not given on when it comes back.

    Switches: never, except acquire. Threads: any.
    """

    # What is free less what is owed is right at every moment, whoever comes between two steps. A
    # permit that comes back between the two of take_anyway() is free and owed at once: one more may
    # be taken then, until the next that comes back makes up for both.

    def __init__(self, count: int) -> None:
        self.free = _core.Semaphore(count)
        self._owed: list[None] = []

    def is_exceeded(self) -> bool:
        """Are more permits out than there may be?"""
        return bool(self._owed)

    def take(self) -> bool:
        """Take a permit if one is free."""
        return self.free.acquire(False)

    def take_anyway(self) -> None:
        """Take a permit; if none is free, one more than there may be is out then."""
        if not self.free.acquire(False):
            self._owed.append(None)

    def acquire(self) -> None:
        """Take a permit, the first who waits first.

        Switches: if it must wait.
        """
        self.free.acquire()

    def give_back(self) -> None:
        """Give a permit back, to the first who waits."""
        try:
            self._owed.pop()
        except IndexError:
            self.free.release()

    def change(self, change: int) -> None:
        """Have so many permits more, or fewer."""
        for _ in range(change):
            self.give_back()
        for _ in range(-change):
            self.take_anyway()


class _Worker:
    """One native thread, as others know it: the bell that wakes it."""

    __slots__ = ("bell", "ident", "line")

    def __init__(self, line: object) -> None:
        self.line = line  # another one, since the process forked, has other workers
        self.ident = 0  # known when it has started
        self.bell = native.allocate_lock()
        self.bell.acquire()


class Workers:
    """Up to `threads_max` native threads that run jobs in the order they came.

    idle_s: seconds that a thread without work stays; None for ever.

    Switches: never, except wait_thread_count. Threads: any.
    """

    def __init__(self, threads_max: int, idle_s: float | None = IDLE_S) -> None:
        self._threads_max = threads_max
        self.idle_s = idle_s
        self.is_closed = False
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        self._line: OrderedDict[Job, None] = OrderedDict()  # jobs that nobody has taken yet
        self._idle: dict[_Worker, None] = {}  # the last is woken first: its memory is still warm
        self._threads: set[_Worker] = set()
        self._idents: set[int] = set()
        self._places = Allowance(self._threads_max)  # for threads
        self._superfluous: list[None] = []  # one for each thread that shall end when it has no work
        self._left = _core.Event()  # a thread has ended

    # ---- jobs ----

    def submit(self, job: Job) -> None:
        """Run `job` in one of the threads; it must not raise, and nobody may hand it in twice.

        Raises RuntimeError if there is no thread and none can be started.
        """
        # In the line before a thread is looked for: one that becomes idle meanwhile looks at the
        # line after it has said so, hence either it finds the job, or we find the thread.
        self._line[job] = None
        try:
            self._find_thread()
        except BaseException:
            # A thread that somebody else has just started may have it by now: only who takes a job
            # out of the line may refuse it.
            if not self._threads and self.withdraw(job):
                raise
            # The threads that there are will come to it.

    def withdraw(self, job: Job) -> bool:
        """Take a job out of the line; False if it is not there: it runs, or has run."""
        return self._line.pop(job, self) is None

    def _find_thread(self) -> None:
        if self._wake():
            return
        if self._places.take():
            self._start()

    def _wake(self) -> bool:
        # Only who takes a thread out of the dict rings its bell, so it is rung once for each sleep.
        # Looked and taken in one step: between two of them somebody else may take the last one.
        try:
            worker, _ = self._idle.popitem()
        except KeyError:
            return False
        # By us and before it wakes: a hub that looks for a dead end meanwhile must not take a
        # thread that has work for an idle one.
        native.idle_threads.discard(worker.ident)
        worker.bell.release()
        return True

    # ---- how many threads ----

    @property
    def threads_max(self) -> int:
        """The most threads at once; may be changed. Fewer: those too many end after their job."""
        return self._threads_max

    @threads_max.setter
    def threads_max(self, count: int) -> None:
        change, self._threads_max = count - self._threads_max, count
        self._places.change(change)
        if change < 0:
            self._wake_all()
        self.adjust()

    @property
    def thread_count(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    def is_own_thread(self) -> bool:
        """Is the caller in one of these threads?"""
        return native.get_ident() in self._idents

    def adjust(self) -> None:
        """Start a thread for each job in the line, as far as there may be more."""
        for _ in range(len(self._line)):
            self._find_thread()

    def set_thread_count(self, count: int) -> None:
        """Start threads until there are so many, or let those too many end when they have no work.

        Raises RuntimeError if one cannot be started.
        """
        while len(self._threads) < count and self._places.take():
            self._start()
        self._superfluous[:] = [None] * (len(self._threads) - count)
        if self._superfluous:
            self._wake_all()

    def wait_thread_count(self, count: int, timeout: float | None = None) -> bool:
        """Wait until there are no more threads than that; False after `timeout` seconds.

        Switches: if it must wait.
        """
        return Deadline(timeout).wait_until(lambda: len(self._threads) <= count, self._left)

    def close(self) -> None:
        """Let each thread end when the line is empty. Jobs that come later are run as well."""
        self.is_closed = True  # first: who becomes idle after the count below sees it by himself
        self._wake_all()

    def _wake_all(self) -> None:
        for _ in range(len(self._idle)):
            self._wake()

    # ---- a thread's life ----

    def _start(self) -> None:
        """Start a thread, whose place has been taken."""
        worker = _Worker(self._line)
        self._threads.add(worker)
        # The interpreter counts a thread from its first step on. A hub that looked for a dead end
        # between its start and that step would find nobody who could wake it.
        native.starting_threads.add(worker)
        try:
            native.start_new_thread(self._live, (worker,))
        except BaseException:
            native.starting_threads.discard(worker)
            self._threads.discard(worker)
            self._places.give_back()
            raise

    def _live(self, worker: _Worker) -> None:
        worker.ident = native.get_ident()
        native.worker_threads.add(worker.ident)
        self._idents.add(worker.ident)
        native.starting_threads.discard(worker)  # last: now it is counted
        has_left = False
        try:
            while (job := self._next_job(worker)) is not None:
                job()
                del job  # or it would be kept until the next one comes
            has_left = True
        finally:
            native.worker_threads.discard(worker.ident)
            if worker.line is self._line:
                self._end(worker, has_left)

    def _end(self, worker: _Worker, has_left: bool) -> None:
        self._idents.discard(worker.ident)
        self._threads.discard(worker)
        if not has_left:  # a job raised, or somebody raised something in this thread
            self._places.give_back()
            self.adjust()
        self._left.set()

    def _next_job(self, worker: _Worker) -> Job | None:
        """The next job; None if this thread shall end, and then its place is free already."""
        while worker.line is self._line:  # or it forked, and is alone in the child
            if self._places.is_exceeded():
                if self._leave(worker):
                    return None
                continue  # there may be more again, just now, and there is work
            try:
                return self._line.popitem(last=False)[0]
            except KeyError:
                pass
            if (self._shall_end() or not self._wait(worker)) and self._leave(worker):
                return None
        return None

    def _shall_end(self) -> bool:
        if self.is_closed:
            return True
        try:
            self._superfluous.pop()
        except IndexError:
            return False
        return True

    def _leave(self, worker: _Worker) -> bool:
        """Free this thread's place; False if there is work meanwhile, and the place is its again.

        Whoever hands in a job now finds the place free, or we find the job.
        """
        self._threads.discard(worker)
        self._places.give_back()
        if not self._line:
            return True
        # Somebody handed it in between our look at the line and give_back(), when there was no
        # place for a thread of its own. If the place is gone already, who took it comes to the
        # line. But if there are too many threads nobody took it, and the job may be what we were
        # woken for: then an idle one that may stay must have it.
        if self._places.take():
            self._threads.add(worker)
            return False
        self._wake()
        return True

    def _wait(self, worker: _Worker) -> bool:
        """Wait for the bell; False after a while without it."""
        # In this order: who finds us in the dict takes us out of the set as well. Added after that,
        # we would count as idle while we work, and a dead end be seen that is none.
        native.idle_threads.add(worker.ident)
        self._idle[worker] = None
        limit_s = -1 if self.idle_s is None else self.idle_s
        # Looked at again: what was handed in before we were in the dict found nobody to wake.
        is_needed = self._line or self._is_ending()
        if not is_needed and worker.bell.acquire(True, limit_s):
            return True
        if self._idle.pop(worker, self) is None:
            native.idle_threads.discard(worker.ident)
            return bool(is_needed)
        # Somebody chose this thread between the end of our wait and that pop, and rings. That must
        # be waited for: it would end the next wait at once, and we would work and count as idle.
        worker.bell.acquire()
        return True

    def _is_ending(self) -> bool:
        return self.is_closed or bool(self._superfluous) or self._places.is_exceeded()


# ---- fork ----

_renewed: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_after_fork(thing: Any) -> None:
    """Have thing._begin() called in the child of a fork, where no thread and no job is left.

    Switches: never. Threads: any.
    """
    _renewed.add(thing)


def _renew_all() -> None:
    for thing in list(_renewed):
        thing._begin()


os.register_at_fork(after_in_child=_renew_all)
