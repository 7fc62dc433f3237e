"""What each queue does, in plain Python, on the model's world: the reference.

There are two, as in fibril. A Queue hands an item to who waits for it; a HookedQueue keeps all
items and promises them, so that what a task gets is what comes first when it runs.
"""

import math
from queue import Empty, Full
from typing import Any

from fibril.queue import ShutDown
from tests.model.world import Body, Waiter, World


class Joinable:
    """Items that were put are unfinished until they are done; the queue may be shut down."""

    def __init__(self, world: World, maxsize: float = math.inf) -> None:
        self.world = world
        self.maxsize = maxsize
        self.items: list[Any] = []
        self.unfinished_tasks = 0
        self.is_shutdown = False
        self.getters: list[Waiter] = []
        self.putters: list[Waiter] = []
        self.joiners: list[Waiter] = []

    def task_done(self) -> None:
        if self.unfinished_tasks == 0:
            raise ValueError
        self.unfinished_tasks -= 1
        if self.unfinished_tasks == 0:
            self.world.fire_all(self.joiners)

    def join(self, timeout: float | None = None) -> Body:
        if self.unfinished_tasks == 0:
            return True
        waiter = Waiter()
        yield from self.world.park(waiter, self.joiners, timeout)
        return waiter.is_fired

    def shutdown(self, immediate: bool = False) -> None:
        self.is_shutdown = True
        for waiter in self.getters + self.putters:
            waiter.is_closed = True
            self.world.wake(waiter.task)
        while immediate and self.items:
            self.items.pop()
            if self.unfinished_tasks > 0:
                self.task_done()

    def must_wait(self, block: bool, late: type[Exception]) -> None:
        if self.is_shutdown:
            raise ShutDown
        if not block:
            raise late


class Queue(Joinable):
    """Who was handed an item and cannot keep it gives it back: then it is older than what was put
    since, but not than what was given back before.
    """

    is_lifo = False
    returned_count = 0  # so many of the oldest items were given back

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> Body:
        if self.is_shutdown:
            raise ShutDown
        if self.getters or not self.full():
            self.enter(item)
            return
        self.must_wait(block, Full)
        waiter = Waiter(item)
        yield from self.world.park(waiter, self.putters, timeout)
        if not waiter.is_fired:
            raise ShutDown if waiter.is_closed else Full

    def get(self, block: bool = True, timeout: float | None = None) -> Body:
        if self.items:
            return self.pop()
        if self.putters:
            return self.take_from_putter()
        self.must_wait(block, Empty)
        return (yield from self.wait_for_item(Waiter(), timeout))

    def peek(self, block: bool = True, timeout: float | None = None) -> Body:
        if self.items:
            return self.items[-1 if self.is_lifo else 0]
        if self.putters:
            return self.putters[0].item
        self.must_wait(block, Empty)
        waiter = Waiter()
        waiter.is_peek = True
        return (yield from self.wait_for_item(waiter, timeout))

    def wait_for_item(self, waiter: Waiter, timeout: float | None) -> Body:
        try:
            yield from self.world.park(waiter, self.getters, timeout)
        except BaseException:
            if waiter.is_fired and not waiter.is_peek:
                self.give_back(waiter.item)
            raise
        if not waiter.is_fired:
            raise ShutDown if waiter.is_closed else Empty
        return waiter.item

    def pop(self) -> Any:
        item = self.items.pop(-1 if self.is_lifo else 0)
        if self.is_lifo:
            self.returned_count = min(self.returned_count, len(self.items))
        else:
            self.returned_count = max(0, self.returned_count - 1)
        self.admit()
        return item

    def shutdown(self, immediate: bool = False) -> None:
        super().shutdown(immediate)
        self.returned_count = min(self.returned_count, len(self.items))

    def admit(self) -> None:
        while self.putters and not self.full():
            self.items.append(self.take_from_putter())

    def take_from_putter(self) -> Any:
        putter = self.putters[0]
        self.unfinished_tasks += 1
        self.world.fire(putter)
        return putter.item

    def enter(self, item: Any) -> None:
        self.unfinished_tasks += 1
        if not self.hand(item):
            self.items.append(item)

    def hand(self, item: Any) -> bool:
        """To all who only look, up to the first who takes it."""
        while self.getters:
            getter = self.getters[0]
            getter.item = item
            self.world.fire(getter)
            if not getter.is_peek:
                return True
        return False

    def give_back(self, item: Any) -> None:
        if not self.hand(item):
            self.items.insert(self.returned_count, item)
            self.returned_count += 1

    def resize(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.admit()

    def qsize(self) -> int:
        return len(self.items)

    def empty(self) -> bool:
        return not self.items

    def full(self) -> bool:
        return len(self.items) >= self.maxsize


class LifoQueue(Queue):
    is_lifo = True


class Channel(Queue):
    """Never has room; an item lies in it only when it was given back."""

    def __init__(self, world: World, _: float) -> None:
        super().__init__(world, 0)

    def qsize(self) -> int:
        return 0

    def empty(self) -> bool:
        return True


class HookedQueue(Joinable):
    """A waiter that is fired was promised an item, or room, and newcomers get the rest."""

    is_sorted = False
    items_promised = rooms_promised = 0

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> Body:
        end = None if timeout is None else self.world.clock + timeout
        while True:
            if self.is_shutdown:
                raise ShutDown
            if not self.full():
                self.items.append(item)
                if self.is_sorted:
                    self.items.sort()
                self.unfinished_tasks += 1
                self.settle()
                return
            self.must_wait(block, Full)
            yield from self.wait("putters", "rooms_promised", end, Full)

    def get(self, block: bool = True, timeout: float | None = None, is_peek: bool = False) -> Body:
        end = None if timeout is None else self.world.clock + timeout
        while self.empty():
            self.must_wait(block, Empty)
            yield from self.wait("getters", "items_promised", end, Empty)
        item = self.items[0] if is_peek else self.items.pop(0)
        self.settle()
        return item

    def peek(self, block: bool = True, timeout: float | None = None) -> Body:
        return self.get(block, timeout, True)

    def wait(
        self, queue_name: str, promised_name: str, end: float | None, late: type[Exception]
    ) -> Body:
        """Wait for a promise. Who cannot use it passes it on."""
        queue = getattr(self, queue_name)
        waiter = Waiter()
        try:
            yield from self.world.park(
                waiter, queue, None if end is None else end - self.world.clock
            )
        except BaseException:
            if waiter.is_fired and queue:
                self.world.fire(queue[0])
            elif waiter.is_fired:
                self.promise(promised_name, -1)
            raise
        if not waiter.is_fired:
            raise ShutDown if waiter.is_closed else late
        self.promise(promised_name, -1)

    def promise(self, name: str, change: int) -> None:
        setattr(self, name, getattr(self, name) + change)

    def settle(self) -> None:
        while self.getters and not self.empty():
            self.world.fire(self.getters[0])
            self.items_promised += 1
        while self.putters and not self.full():
            self.world.fire(self.putters[0])
            self.rooms_promised += 1

    def resize(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.settle()

    def qsize(self) -> int:
        return max(0, len(self.items) - self.items_promised)

    def empty(self) -> bool:
        return self.qsize() == 0

    def full(self) -> bool:
        return len(self.items) + self.rooms_promised >= self.maxsize


class PriorityQueue(HookedQueue):
    is_sorted = True
