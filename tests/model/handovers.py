"""Eight native threads hand things to each other through every primitive, while others kill and
time out those who wait: `python -m tests.model.handovers COUNT SEED` makes that many hand-overs,
checks that nothing was lost or doubled, and prints what was done.

Each part is a class whose bodies(thread) are the tasks of that thread; all parts run at once. Who
may be killed waits in `patiently`, which tries again. A kill strikes only where a task waits, so
what a call returned is his; but whether an item is in the queue whose put() was killed, nobody
knows: it may come, though not twice.
"""

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import fibril
from fibril import GreenletExit, Timeout, native
from fibril.event import AsyncResult, Event
from fibril.lock import BoundedSemaphore, Condition, RLock, Semaphore
from fibril.queue import Channel, Empty, Full, LifoQueue, PriorityQueue, Queue

THREADS = 8
STALL_S = 60  # without a hand-over for so long, it hangs
Body = Callable[[], None]


class Victims:
    """Tasks that may be killed now. Nothing waits while it has the lock."""

    def __init__(self) -> None:
        self.lock = native.allocate_lock()
        self.tasks: dict[Any, None] = {}
        self.kill_count = 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """The current task may be killed in this block, and not after."""
        me = fibril.getcurrent()
        with self.lock:
            self.tasks[me] = None
        try:
            yield
        finally:
            with self.lock:
                del self.tasks[me]
            for _ in range(9):
                with suppress(GreenletExit):  # those that were on their way
                    fibril.sleep(0)

    def kill_one(self, choose: random.Random) -> None:
        with self.lock:
            if self.tasks:
                choose.choice(list(self.tasks)).kill(block=False)
                self.kill_count += 1


victims = Victims()


def patiently(call: Callable[..., Any], *args: Any) -> Any:
    """call(*args, timeout) until it neither times out nor is killed."""
    seconds = 0.0
    while True:
        seconds = min(0.05, seconds * 2 + 0.0005)
        try:
            if (found := call(*args, seconds)) is not False:
                return found
        except (Empty, Full, Timeout, GreenletExit):
            pass


class Part:
    """A share of the hand-overs."""

    def __init__(self, count: int) -> None:
        self.each = max(2, count // THREADS)  # of each thread
        self.done_counts = [0] * THREADS  # by each thread

    def name(self) -> str:
        return type(self).__name__

    def bodies(self, thread: int) -> list[Body]:
        raise NotImplementedError

    def check(self) -> None:
        """All bodies have ended."""


class Passing(Part):
    """Numbered items go through a queue, from all threads to all threads. A getter that is killed
    may give back what he was handed, so only where none is does each see a producer's order.
    """

    def __init__(self, count: int, queue: Any, is_ordered: bool) -> None:
        super().__init__(count)
        self.queue = queue
        self.is_ordered = is_ordered
        self.got: list[list[tuple[int, int]]] = [[] for _ in range(THREADS)]
        self.doubtful: set[tuple[int, int]] = set()

    def name(self) -> str:
        size = getattr(self.queue, "maxsize", None)
        how = "in order" if self.is_ordered else "getters killed"
        return f"{type(self.queue).__name__}({size or ''}), {how}"

    def bodies(self, thread: int) -> list[Body]:
        return [lambda: self.produce(thread), lambda: self.consume(thread)]

    def produce(self, thread: int) -> None:
        with victims.one_more():
            for number in range(self.each):
                self.put((thread, number))
        self.queue.put((THREADS, thread))

    def put(self, item: tuple[int, int]) -> None:
        while True:
            try:
                self.queue.put(item, True, 0.01)
                return
            except Full:
                pass
            except GreenletExit:
                self.doubtful.add(item)
                return

    def consume(self, thread: int) -> None:
        if self.is_ordered:
            self.consume_to_the_end(thread)
            return
        with victims.one_more():
            self.consume_to_the_end(thread)

    def consume_to_the_end(self, thread: int) -> None:
        get, got = self.queue.get, self.got[thread]
        while (item := patiently(get, True))[0] != THREADS:
            got.append(item)
            self.done_counts[thread] += 1

    def check(self) -> None:
        came = Counter(item for got in self.got for item in got)
        came.update(self.queue.get() for _ in range(self.queue.qsize()))  # LIFO: behind an end
        every = {(thread, number) for thread in range(THREADS) for number in range(self.each)}
        assert not (twice := [item for item, times in came.items() if times > 1]), twice
        assert not (lost := every - self.doubtful - set(came)), sorted(lost)
        assert set(came) <= every
        for got in self.got if self.is_ordered else ():
            for thread in range(THREADS):
                numbers = [number for origin, number in got if origin == thread]
                assert numbers == sorted(numbers), f"items of {thread} are out of order"


class Permits(Part):
    """Never more holders than permits; in the end each is back."""

    def __init__(self, count: int, semaphore: Semaphore) -> None:
        super().__init__(count)
        self.semaphore = semaphore
        self.value = semaphore.counter
        self.holders: set[int] = set()

    def name(self) -> str:
        return f"{type(self.semaphore).__name__}({self.value})"

    def bodies(self, thread: int) -> list[Body]:
        return [lambda: self.use(thread)] * 2

    def use(self, thread: int) -> None:
        with victims.one_more():
            for number in range(self.each // 2):
                patiently(self.semaphore.acquire, True)
                self.hold(id(fibril.getcurrent()), number)
                self.done_counts[thread] += 1

    def hold(self, me: int, number: int) -> None:
        self.holders.add(me)
        assert len(self.holders) <= self.value
        with suppress(GreenletExit):
            if number % 4 == 0:
                fibril.sleep(0)
        self.holders.remove(me)
        self.semaphore.release()

    def check(self) -> None:
        assert (self.semaphore.counter, self.holders) == (self.value, set())


class Signals(Part):
    """A task of each thread and one of the next set events for each other, in turn."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.pairs = [(Event(), Event()) for _ in range(THREADS)]

    def bodies(self, thread: int) -> list[Body]:
        return [lambda: self.begin(thread), lambda: self.answer(*self.pairs[thread - 1])]

    def begin(self, thread: int) -> None:
        there, back = self.pairs[thread]
        with victims.one_more():
            for _ in range(self.each // 2):
                there.set()
                patiently(back.wait)
                back.clear()
                self.done_counts[thread] += 2

    def answer(self, there: Event, back: Event) -> None:
        with victims.one_more():
            for _ in range(self.each // 2):
                patiently(there.wait)
                there.clear()
                back.set()


class Results(Part):
    """Requests, each with an AsyncResult, go to the server of another thread, which answers."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.requests: list[Any] = [Queue() for _ in range(THREADS)]

    def bodies(self, thread: int) -> list[Body]:
        return [lambda: self.ask(thread), lambda: self.serve(self.requests[thread])]

    def ask(self, thread: int) -> None:
        requests = self.requests[(thread + 3) % THREADS]
        with victims.one_more():
            for number in range(self.each):
                result = AsyncResult()
                requests.put((result, number))
                assert patiently(self.answer_of, result) == number + 1
                self.done_counts[thread] += 1
        requests.put(None)

    def serve(self, requests: Any) -> None:
        with victims.one_more():
            while (request := patiently(requests.get, True)) is not None:
                result, number = request
                if number % 5:
                    result.set(number + 1)
                else:
                    result.set_exception(ValueError(number + 1))

    @staticmethod
    def answer_of(result: AsyncResult, timeout: float) -> int:
        try:
            return int(result.get(True, timeout))
        except ValueError as error:
            return int(error.args[0])


class Exclusion(Part):
    """An RLock guards a sum that is read, left for others to spoil, and written."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.lock = RLock()
        self.sum = 0

    def bodies(self, thread: int) -> list[Body]:
        return [lambda: self.add(thread)]

    def add(self, thread: int) -> None:
        with victims.one_more():
            for number in range(self.each):
                patiently(self.lock.acquire, True)
                with self.lock:
                    self.add_one(number)
                self.lock.release()
                self.done_counts[thread] += 1

    def add_one(self, number: int) -> None:
        before = self.sum
        with suppress(GreenletExit):
            if number % 4 == 0:
                fibril.sleep(0)
        self.sum = before + 1

    def check(self) -> None:
        assert self.sum == self.each * THREADS
        assert not self.lock.locked()


class Buffer(Part):
    """A Condition: makers add to a list while it is short, takers take while there is something."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.changed = Condition()
        self.items: list[tuple[int, int]] = []
        self.taken: list[tuple[int, int]] = []

    def bodies(self, thread: int) -> list[Body]:
        return [lambda: self.make(thread), lambda: self.take(thread)]

    def make(self, thread: int) -> None:
        with victims.one_more():
            for number in range(self.each):
                add = lambda: self.items.append((thread, number))  # noqa: B023, E731
                patiently(self.change, lambda: len(self.items) < 4, add)

    def take(self, thread: int) -> None:
        with victims.one_more():
            for _ in range(self.each):
                remove = lambda: self.taken.append(self.items.pop(0))  # noqa: E731
                patiently(self.change, lambda: self.items, remove)
                self.done_counts[thread] += 1

    def change(self, may: Callable[[], Any], act: Body, timeout: float) -> bool:
        with self.changed:
            if not self.changed.wait_for(may, timeout):
                return False
            act()
            self.changed.notify_all()
        return True

    def check(self) -> None:
        every = [(thread, number) for thread in range(THREADS) for number in range(self.each)]
        assert sorted(self.taken) == every
        for thread in range(THREADS):
            numbers = [number for origin, number in self.taken if origin == thread]
            assert numbers == sorted(numbers)


def all_parts(count: int) -> list[Part]:
    """The share of each: what is slow has little."""
    much, some, little = count // 9, count // 20, count // 50
    return [
        *(Passing(much, Queue(size), is_ordered=True) for size in (None, 1, 100)),
        *(Passing(much, Queue(size), is_ordered=False) for size in (None, 1, 3)),
        Passing(little, Channel(), is_ordered=True),
        Passing(little, PriorityQueue(10), is_ordered=False),
        Passing(little, LifoQueue(3), is_ordered=False),
        *(Permits(some, Semaphore(3)), Permits(some, BoundedSemaphore(1))),
        *(Signals(some), Results(some), Exclusion(some), Buffer(little)),
    ]


class Run:
    """All parts at once, in eight threads."""

    def __init__(self, parts: list[Part], seed: int) -> None:
        self.parts, self.seed = parts, seed
        self.errors: list[BaseException] = []

    def work(self, thread: int) -> None:
        try:
            tasks = [fibril.spawn(body) for part in self.parts for body in part.bodies(thread)]
            killer = fibril.spawn(self.kill, random.Random(self.seed * THREADS + thread))
            fibril.joinall(tasks, raise_error=True)
            killer.kill()
            assert fibril.get_hub().parked() == []
        except BaseException as error:
            self.errors.append(error)

    @staticmethod
    def kill(choose: random.Random) -> None:
        """Kills anybody, of any thread."""
        while True:
            fibril.sleep(choose.random() * 0.002)
            victims.kill_one(choose)

    def go(self) -> None:
        threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        last_count, last_change = 0, time.monotonic()
        while not self.errors and any(thread.is_alive() for thread in threads):
            time.sleep(0.05)
            if (count := self.done_count()) != last_count:
                last_count, last_change = count, time.monotonic()
            if time.monotonic() - last_change > STALL_S:
                sys.exit(f"hangs after {count:,} hand-overs:\n{self.report()}")
        for error in self.errors:
            raise error
        for part in self.parts:
            part.check()

    def done_count(self) -> int:
        return sum(sum(part.done_counts) for part in self.parts)

    def report(self) -> str:
        return "\n".join(
            f"{sum(part.done_counts):>11,} of {part.each * THREADS:>11,} {part.name()}"
            for part in self.parts
        )


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    sys.setswitchinterval(0.0001)  # native threads take turns fifty times as often as usual
    run = Run(all_parts(count), seed)
    began = time.monotonic()
    run.go()
    took_s = time.monotonic() - began
    print(run.report())
    kills = victims.kill_count
    print(f"{run.done_count():,} hand-overs, {kills:,} kills, seed {seed}, {took_s:.0f} s")


if __name__ == "__main__":
    main()
