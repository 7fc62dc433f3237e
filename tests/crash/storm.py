"""A storm: `python -m tests.crash.storm SEED SECONDS` prints how many steps it took, and "calm".

On three native threads tasks wait, time out, spawn and kill each other, while a collector with a
tiny threshold runs destructors, callbacks of weak references and comparisons that do the same. So
strangers' code runs wherever fibril allocates, drops or compares anything, and in the middle of
what the hub does. Whatever happens must be one of the exceptions that were asked for; afterwards
everybody can be ended, and nothing is left.
"""

import faulthandler
import gc
import random
import signal
import sys
import threading
import time
import traceback
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import fibril
from fibril import GreenletExit, Timeout
from fibril.event import AsyncResult, Event
from fibril.hub import BlockingSwitchOutError, InvalidSwitchError
from fibril.lock import RLock, Semaphore
from fibril.queue import Empty, Full, PriorityQueue, Queue
from fibril.socket import socketpair

THREADS = 3
TASKS_MAX = 40
CALM_S = 60
REST_MAX = 2000  # objects that stay: in queues, behind events, of modules that were imported
# A fiber that is switched to by hand after it was killed, and waits for something else by then.
ASKED_FOR = (Timeout, TimeoutError, Empty, Full, InvalidSwitchError)
# In strangers' code also the refusal to wait, where it runs inside the hub.
EXPECTED = (*ASKED_FOR, GreenletExit, BlockingSwitchOutError)

failures: list[str] = []


def fail(what: str) -> None:
    failures.append(what)


def objects() -> Counter[str]:
    """How many of each kind the collector knows of."""
    return Counter(type(one).__name__ for one in gc.get_objects())


class Trash:
    """Garbage that only the collector finds, and whose destructor acts."""

    act: Callable[[], None] = staticmethod(int)  # until it is made: Rung may come before that

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act
        self.itself = self

    def __del__(self) -> None:
        self.act()


class Watched:
    """Its end is told by a callback that acts."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.itself = self
        self.watch = weakref.ref(self, lambda _: act())
        watches.append(self.watch)
        del watches[:-50]


watches: list[Any] = []


class Late(Timeout):
    """A Timeout whose destructor acts, wherever its last reference is dropped."""

    act: Callable[[], None] = staticmethod(int)

    def __del__(self) -> None:
        self.act()


class Rung(Timeout):
    """What the handler of a signal raises."""


class Link:
    """A callback that acts when it is compared, and when it is called."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def __eq__(self, other: object) -> bool:
        self.act()
        return other is self

    def __hash__(self) -> int:
        return id(self)

    def __call__(self, _: object) -> None:
        self.act()


class Storm:
    """One native thread's part of it."""

    events: ClassVar = [Event() for _ in range(4)]  # of all threads
    queues: ClassVar[list[Any]] = [Queue(2), PriorityQueue(2), Queue()]
    locks: ClassVar[list[Any]] = [Semaphore(1), Semaphore(2)]

    def __init__(self, seed: int, deadline: float) -> None:
        self.random = random.Random(seed)
        self.deadline = deadline
        self.tasks: list[fibril.Task] = []
        self.lock = RLock()
        self.pair = socketpair()
        self.steps = 0
        self.depth = 0  # of strangers' code

    # ---- what is done ----

    def some_time(self) -> float:
        return self.random.choice((0, 0.0001, 0.0005, 0.002))

    def some_task(self) -> Any:
        return self.random.choice(self.tasks) if self.tasks else fibril.spawn(int)

    def wait_event(self) -> None:
        self.random.choice(self.events).wait(self.some_time())

    def wait_with_timeout(self) -> None:
        late = Late(self.some_time())
        late.act = self.act_as_stranger
        with late:
            self.random.choice(self.events).wait(0.003)

    def leave_timeout_pending(self) -> None:
        late = Late(self.some_time())
        late.act = self.act_as_stranger
        late.start()
        if self.random.random() < 0.5:
            fibril.sleep(self.some_time())
            late.cancel()

    def use_queue(self) -> None:
        queue = self.random.choice(self.queues)
        if self.random.random() < 0.5:
            queue.put(self.random.randrange(9), timeout=self.some_time())
        else:
            queue.get(timeout=self.some_time())

    def use_lock(self) -> None:
        lock = self.random.choice((self.lock, *self.locks))
        if lock.acquire(timeout=self.some_time()):
            try:
                fibril.sleep(self.some_time())
            finally:
                lock.release()

    def use_socket(self) -> None:
        here, there = self.pair
        here.settimeout(0.001)
        with Timeout(self.some_time()):
            if self.random.random() < 0.5:
                there.send(b"x")
            here.recv(1)

    def use_result(self) -> None:
        result: Any = AsyncResult()
        link = Link(self.act_as_stranger)
        result.rawlink(link)
        result.rawlink(Link(self.act_as_stranger))
        result.unlink(link)
        self.some_task().rawlink(link)
        fibril.spawn(result.set, 1)
        result.get(timeout=self.some_time())

    def kill(self) -> None:
        block = self.random.random() < 0.3
        self.some_task().kill(block=block, timeout=0.001 if block else None)

    def spawn(self) -> None:
        self.tasks = [task for task in self.tasks if not task.dead]
        if len(self.tasks) < TASKS_MAX and time.monotonic() < self.deadline:
            start = fibril.spawn if self.random.random() < 0.8 else self.spawn_later
            self.tasks.append(start(self.live))

    def spawn_later(self, fn: Callable[[], None]) -> fibril.Task:
        return fibril.spawn_later(self.some_time(), fn)

    def drop_fiber(self) -> None:
        """One that was left by hand is unwound by whoever drops it, and acts then."""
        main = fibril.getcurrent()

        def body() -> None:
            try:
                main.switch()
            finally:
                self.act_as_stranger()

        fibril.Fiber(body).switch()

    def litter(self) -> None:
        for _ in range(self.random.randrange(4)):
            self.random.choice((Trash, Watched))(self.act_as_stranger)

    def collect(self) -> None:
        gc.set_threshold(self.random.choice((1, 2, 5, 20, 200)), 3, 3)

    def step(self) -> None:
        self.steps += 1
        acts = (
            self.wait_event, self.wait_with_timeout, self.leave_timeout_pending, self.use_queue,
            self.use_lock, self.use_socket, self.use_result, self.kill, self.spawn, self.spawn,
            self.drop_fiber, self.litter, self.litter, self.collect,
            lambda: fibril.sleep(self.some_time()),
            lambda: self.some_task().join(self.some_time()),
            lambda: self.random.choice(self.events).set(),
            lambda: self.random.choice(self.events).clear(),
        )  # fmt: skip
        self.random.choice(acts)()

    # ---- who does it ----

    def live(self) -> None:
        for _ in range(self.random.randrange(1, 12)):
            if time.monotonic() > self.deadline:
                return
            try:
                self.step()
            except ASKED_FOR:
                pass
            except GreenletExit:
                if self.random.random() < 0.8:
                    return
            except BaseException:
                fail(traceback.format_exc())

    def act_as_stranger(self) -> None:
        if self.depth > 3 or time.monotonic() > self.deadline:
            return
        self.depth += 1
        try:
            self.step()
        except EXPECTED:
            pass
        except BaseException:
            fail(traceback.format_exc())
        finally:
            self.depth -= 1

    def handle_signal(self) -> None:
        """It may wait; what it raises is the main fiber's, whoever was interrupted."""
        self.act_as_stranger()
        if self.random.random() < 0.1 and time.monotonic() < self.deadline:
            raise Rung

    def run(self) -> None:
        """Rung may come between any two instructions of the main thread, also outside of `try`."""
        while time.monotonic() < self.deadline:
            try:
                self.take_turns()
            except Rung:
                pass
        self.calm_down()

    def take_turns(self) -> None:
        for turn in range(10**9):
            if time.monotonic() > self.deadline:
                break
            try:
                self.spawn()
                fibril.sleep(0.0002)
                if turn % 500 == 0:
                    gc.collect()  # tiny thresholds alone let the oldest generation grow
            except Timeout:
                pass  # the main fiber's own, from strangers' code
            except BaseException:
                fail(traceback.format_exc())

    def stacks_that_may_stay(self) -> int:
        """The hub's own. Before 3.14, those of fibers in cycles through a destructor's C call, too:
        see test_gc_frames.py."""
        ours = threading.get_ident()
        states = [entry[2] for entry in fibril._core.all_fibers() if entry[0] == ours]
        return 1 + (states.count("left") if sys.version_info < (3, 14) else 0)

    def calm_down(self) -> None:
        gc.set_threshold(700, 10, 10)
        end = time.monotonic() + CALM_S
        is_calm = False
        while time.monotonic() < end:
            try:
                fibril.killall(self.tasks, block=False)
                fibril.sleep(0.01)
                gc.collect()
            except Timeout:
                continue
            statistics = fibril.get_hub().statistics()
            rest = {name: statistics[name] for name in ("timers", "fd_waiters", "stacks_live")}
            rest["stacks_live"] -= self.stacks_that_may_stay()
            was_calm, is_calm = is_calm, max(rest.values()) <= 0
            is_calm = is_calm and all(task.dead for task in self.tasks)
            # Twice: a task that spent the storm in one collection's destructors may have thousands
            # of links, and end when this fiber is ready already, so before the hub has called them.
            if was_calm and is_calm:
                return
        left = [task for task in self.tasks if not task.dead]
        stacks = ["".join(traceback.format_stack(task.gr_frame)) for task in left]
        stacks += [f"{entry}\n" for entry in fibril._core.all_fibers()]
        fail(f"not calm: {rest}, {left}\n{''.join(stacks)}")


def tell_unraisable(args: Any) -> None:
    if not isinstance(args.exc_value, Rung):  # main may be inside a destructor
        fail(f"unraisable: {args.exc_value!r} in {args.object!r}")


def main(seed: int, seconds: float) -> int:
    sys.unraisablehook = tell_unraisable
    before = objects()
    deadline = time.monotonic() + seconds
    storms = [Storm(seed * 10 + number, deadline) for number in range(THREADS)]
    threads = [threading.Thread(target=storm.run) for storm in storms[1:]]
    signal.signal(signal.SIGALRM, lambda *_: storms[0].handle_signal())
    for thread in threads:
        thread.start()
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    storms[0].run()
    signal.setitimer(signal.ITIMER_REAL, 0)
    for thread in threads:
        thread.join(CALM_S + 30)  # it takes until then to tell that it cannot be calm
    steps = sum(storm.steps for storm in storms)
    if any(thread.is_alive() for thread in threads):
        faulthandler.dump_traceback(all_threads=True)
        fail("a thread does not end")
    watches.clear()
    Storm.queues.clear()
    del storms[1:]
    storms[0].tasks.clear()
    for _ in range(3):
        gc.collect()
    left = objects() - before
    rest = objects().total() - before.total()
    if rest > REST_MAX:
        fail(f"{rest} objects are left: {left.most_common(20)}")
    print(steps, "steps,", rest, "objects more", flush=True)
    print("\n".join(failures[:10]) or "calm", flush=True)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
