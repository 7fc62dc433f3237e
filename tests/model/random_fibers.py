"""Random programs of fibers on several native threads, run by fibril and by the reference: what
happens must be the same. `python -m tests.model.random_fibers FIRST_SEED PROGRAMS SECONDS` compares
that many, or as many as it can in that time, and prints how many.

Fibers make, switch to, throw into, drop and re-parent each other, put themselves into cycles, and
let the collector run; a fiber that is unwound still makes and drops others. Only one native thread
acts at a time (which one is drawn as well), so that the order of things is defined; it may drop
another's fibers, and is refused when it switches to them. When it ends, its fibers are unwound.
"""

import gc
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import fibril
from fibril import FiberError, GreenletExit
from tests.model import baton

Trace = list[tuple[Any, ...]]


class Failure(Exception):
    pass


class Side:
    """One of the two that are compared."""

    fiber: Callable[..., Any] = fibril.Fiber
    getcurrent: Callable[[], Any] = staticmethod(fibril.getcurrent)

    @staticmethod
    def begin(report: Callable[[BaseException], None]) -> None:
        sys.unraisablehook = lambda args: report(args.exc_value or args.exc_type())

    @staticmethod
    def end() -> None:
        """A native thread that ends unwinds its fibers by itself."""

    @staticmethod
    def set_parent(child: Any, parent: Any) -> None:
        child.parent = parent


class Reference(Side):
    fiber = baton.Baton
    getcurrent = staticmethod(baton.getcurrent)

    @staticmethod
    def begin(report: Callable[[BaseException], None]) -> None:
        sys.unraisablehook = lambda args: report(args.exc_value or args.exc_type())
        baton.World(report)

    @staticmethod
    def end() -> None:
        baton.here.world.end()

    @staticmethod
    def set_parent(child: Any, parent: Any) -> None:
        child.set_parent(parent)


def name_of(value: Any) -> Any:
    return type(value).__name__ if isinstance(value, BaseException) else value


class Program:
    """One run of one seed. No local variable holds a fiber: references decide what is dropped."""

    def __init__(self, side: type[Side], seed: int) -> None:
        self.side = side
        self.random = random.Random(seed)
        self.trace: Trace = []
        self.table: dict[int, Any] = {}  # the only lasting references to fibers
        self.owner: dict[int, int] = {}  # the native thread of each
        self.count = 0
        self.steps_left = 200 + self.random.randrange(300)
        self.thread_count = 1 + self.random.randrange(3)
        self.turns = [threading.Semaphore(0) for _ in range(self.thread_count)]
        self.living: set[int] = set(range(self.thread_count))
        self.acting = 0
        self.is_quiet = False
        self.over: queue.Queue[int] = queue.Queue()

    # ---- native threads ----

    def run(self) -> Trace:
        threads = [threading.Thread(target=self.act, args=(i,)) for i in range(self.thread_count)]
        for thread in threads:
            thread.start()
        self.turns[0].release()
        while self.living:
            ended = self.over.get()
            threads[ended].join()  # it has unwound its fibers by then
            self.living.discard(ended)
            if self.living:
                self.acting = self.random.choice(sorted(self.living))
                self.turns[self.acting].release()
        self.table.clear()
        gc.collect()
        return self.trace

    def act(self, thread: int) -> None:
        self.turns[thread].acquire()
        self.side.begin(lambda error: self.note("ignored", name_of(error)))
        self.side.getcurrent().number = -1 - thread
        for _ in range(80):
            try:
                self.step()
            except BaseException as error:
                self.note("in main", name_of(error))
        self.note("end", self.current())
        self.side.end()
        self.over.put(thread)

    def hand_over(self) -> None:
        mine = self.acting
        self.acting = self.random.choice(sorted(self.living))
        if self.acting != mine:
            self.turns[self.acting].release()
            self.turns[mine].acquire()
            self.current()

    # ---- fibers ----

    def note(self, *what: Any) -> None:
        self.trace.append((self.acting, *what))

    def live(self, me: int, value: Any = None) -> Any:
        self.note(me, "begins", name_of(value))
        try:
            for _ in range(self.random.randrange(1, 8)):
                self.step()
            return self.finish(me)
        except GreenletExit:
            self.note(me, "exits")
            way = 1 if self.is_quiet else self.random.random()
            if way < 0.2:
                return "saved"
            if way < 0.4:
                raise Failure from None
            raise
        finally:
            self.note(me, "ends")
            for _ in range(0 if self.is_quiet else self.random.randrange(3)):
                self.random.choice(QUIET_STEPS)(self)

    def finish(self, me: int) -> str:
        way = self.random.random()
        if way < 0.15:
            raise Failure
        if way < 0.3:
            raise GreenletExit
        return f"result {me}"

    # ---- steps ----

    def step(self) -> None:
        self.note("runs", self.current())
        self.steps_left -= 1
        if self.steps_left > 0:
            try:
                self.random.choice(STEPS if self.table else [Program.make])(self)
            except (Failure, FiberError, ValueError) as error:
                self.note("caught", name_of(error))
                if isinstance(error, Failure) and self.random.random() < 0.4:
                    raise

    def any_fiber(self, is_mine: bool = False) -> int:
        """The number of a fiber; ValueError, which ends the step, if there is none."""
        numbers = [n for n in self.table if not is_mine or self.owner[n] == self.acting]
        if not numbers:
            raise ValueError
        return self.random.choice(sorted(numbers))

    def make(self) -> None:
        number = self.count
        self.count += 1
        self.owner[number] = self.acting
        self.table[number] = self.side.fiber(partial(self.live, number))
        self.table[number].number = number

    def switch(self) -> None:
        is_mine = self.random.random() < 0.9
        value = self.table[self.any_fiber(is_mine)].switch(self.random.randrange(100))
        self.note("back with", name_of(value))

    def throw(self) -> None:
        is_mine = self.random.random() < 0.9
        kind = self.random.choice([Failure, GreenletExit])
        value = self.table[self.any_fiber(is_mine)].throw(kind)
        self.note("back from throw with", name_of(value))

    def drop(self) -> None:
        number = self.any_fiber()
        self.note("drops", number)
        del self.table[number]

    def adopt(self) -> None:
        child, parent = self.any_fiber(True), self.any_fiber(True)
        self.note(parent, "adopts", child)
        self.side.set_parent(self.table[child], self.table[parent])

    def tie(self) -> None:
        number = self.any_fiber()
        self.table[number].me = self.table[number]

    def look(self) -> None:
        number = self.any_fiber()
        self.note(number, "dead", self.table[number].dead)

    def collect(self) -> None:
        self.quietly(gc.collect)
        self.note("collected")

    def current(self) -> int:
        """Who runs, after what other threads dropped, or their collectors found, was unwound."""
        self.quietly(self.side.getcurrent)
        return int(self.side.getcurrent().number)

    def quietly(self, call: Callable[[], object]) -> None:
        """In which order garbage is unwound is not defined: nothing else happens meanwhile."""
        place = len(self.trace)
        self.is_quiet = True
        call()
        self.is_quiet = False
        self.trace[place:] = sorted(self.trace[place:], key=repr)

    def quiet_make(self) -> None:
        self.make()

    def quiet_drop(self) -> None:
        with suppress(ValueError):
            self.drop()


STEPS: list[Callable[[Program], None]] = [
    *[Program.make] * 4,
    *[Program.switch] * 6,
    *[Program.throw] * 2,
    *[Program.drop] * 3,
    Program.adopt,
    Program.tie,
    Program.look,
    Program.collect,
    *[Program.hand_over] * 2,
]
QUIET_STEPS: list[Callable[[Program], None]] = [Program.quiet_make, Program.quiet_drop]


def difference(seed: int) -> str:
    """Where the two differ; empty if they do not."""
    ours, reference = Program(Side, seed).run(), Program(Reference, seed).run()
    for place, (left, right) in enumerate(zip(ours, reference, strict=False)):
        if left != right:
            before = "\n".join(map(str, ours[max(0, place - 12) : place]))
            return f"seed {seed}, step {place}:\n{before}\nfibril      {left}\nreference {right}"
    if len(ours) != len(reference):
        return f"seed {seed}: {len(ours)} and {len(reference)} steps"
    return ""


def main() -> None:
    gc.disable()
    first, count, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    until, seed = time.monotonic() + seconds, first
    while seed < first + count and time.monotonic() < until:
        found = difference(seed)
        if found:
            sys.exit(found)
        seed += 1
    print(f"same: {seed - first} programs from seed {first}")


if __name__ == "__main__":
    main()
