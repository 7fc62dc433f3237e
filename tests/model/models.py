"""What each primitive does, in plain Python, on the model's world (world.py): the reference.

What may wait is a generator. Nothing here is clever: a queue of waiters is a list, and each
operation says in a few lines who gets what.
"""

from collections.abc import Callable
from typing import Any

from fibril import GreenletExit, Timeout
from fibril.pool import PoolFull
from tests.model.world import Body, Failure, Waiter, World


class Linked:
    """What tells callbacks, in the hub, once, that it is ready."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.links: list[Callable[[Any], None]] = []

    def is_ready(self) -> bool:
        raise NotImplementedError

    def rawlink(self, callback: Callable[[Any], None]) -> None:
        if self.is_ready():
            self.world.call_soon(callback, self)
        else:
            self.links.append(callback)

    def unlink(self, callback: Callable[[Any], None]) -> None:
        if callback in self.links:
            self.links.remove(callback)

    def tell_all(self) -> None:
        links, self.links = self.links, []
        for callback in links:
            self.world.call_soon(callback, self)


class Event(Linked):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.flag = False
        self.waiters: list[Waiter] = []

    def is_ready(self) -> bool:
        return self.flag

    is_set = is_ready

    def set(self) -> None:
        self.flag = True
        self.tell_all()
        self.world.fire_all(self.waiters)

    def clear(self) -> None:
        self.flag = False

    def wait(self, timeout: float | None = None) -> Body:
        if self.flag:
            return True
        waiter = Waiter()
        yield from self.world.park(waiter, self.waiters, timeout)
        return waiter.is_fired


class Result(Linked):
    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.event = Event(world)
        self.value: Any = None
        self.error: BaseException | None = None

    def is_ready(self) -> bool:
        return self.event.flag

    ready = is_ready

    def successful(self) -> bool:
        return self.is_ready() and self.error is None

    def set(self, value: Any, error: BaseException | None = None) -> None:
        self.value, self.error = value, error
        self.event.flag = True
        self.tell_all()
        self.event.set()

    def fail(self) -> None:
        self.set(None, Failure())

    def wait(self, timeout: float | None = None) -> Body:
        yield from self.event.wait(timeout)
        return self.value

    def get(self, block: bool = True, timeout: float | None = None) -> Body:
        if not self.is_ready() and not (block and (yield from self.event.wait(timeout))):
            raise Timeout(timeout)
        if self.error is not None:
            raise self.error
        return self.value


class Limit:
    """A Timeout: after so many seconds it is thrown at the task that started it."""

    def __init__(self, world: World, seconds: float | None, error: BaseException) -> None:
        self.world, self.task, self.error = world, world.current, error
        self.timer = None if seconds is None else world.start_timer(seconds, self.strike)

    def strike(self) -> None:
        self.world.throw_later(self.task, self.error)

    def cancel(self) -> None:
        if self.timer in self.world.timers:
            self.world.timers.remove(self.timer)
        elif self.error in self.task.thrown:
            self.task.thrown.remove(self.error)


class Semaphore(Linked):
    def __init__(self, world: World, value: int = 1) -> None:
        super().__init__(world)
        self.counter = value
        self.acquirers: list[Waiter] = []
        self.watchers: list[Waiter] = []

    def is_ready(self) -> bool:
        return self.counter > 0

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> Body:
        if self.counter > 0:
            self.counter -= 1
            return True
        if not blocking:
            return False
        waiter = Waiter()
        try:
            yield from self.world.park(waiter, self.acquirers, timeout)
        except BaseException:
            if waiter.is_fired:
                self.give()
            raise
        return waiter.is_fired

    def give(self) -> None:
        if self.acquirers:
            self.world.fire_all(self.watchers)
            self.world.fire(self.acquirers[0])
        else:
            self.counter += 1
            self.tell_all()
            self.world.fire_all(self.watchers)

    def release(self) -> int:
        self.give()
        return self.counter

    def wait(self, timeout: float | None = None) -> Body:
        if self.counter == 0:
            yield from self.world.park(Waiter(), self.watchers, timeout)
        return self.counter

    def locked(self) -> bool:
        return self.counter == 0


class BoundedSemaphore(Semaphore):
    def __init__(self, world: World, value: int = 1) -> None:
        super().__init__(world, value)
        self.value = value

    def release(self) -> int:
        if self.counter >= self.value:
            raise ValueError
        return super().release()


class RLock:
    def __init__(self, world: World) -> None:
        self.world = world
        self.gate = Semaphore(world, 1)
        self.owner: Any = None
        self.depth = 0

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> Body:
        if self.owner is not self.world.current:
            if not (yield from self.gate.acquire(blocking, timeout)):
                return False
            self.owner = self.world.current
        self.depth += 1
        return True

    def release(self) -> None:
        if not self.is_owned():
            raise RuntimeError
        self.depth -= 1
        if self.depth == 0:
            self.owner = None
            self.gate.release()

    def locked(self) -> bool:
        return self.owner is not None

    def is_owned(self) -> bool:
        return self.owner is self.world.current

    def give_up(self) -> int:
        depth, self.depth = self.depth, 1
        self.release()
        return depth

    def take_again(self, depth: int) -> Body:
        yield from self.acquire()
        self.depth = depth


class Condition:
    """Who is in `waiters` has not been told, nor found out that he need not wait any more."""

    def __init__(self, lock: RLock) -> None:
        self.world = lock.world
        self.lock = lock
        self.waiters: list[Waiter] = []
        self.acquire, self.release = lock.acquire, lock.release

    def wait(self, timeout: float | None = None) -> Body:
        self.check()
        waiter = Waiter()
        self.waiters.append(waiter)
        depth = self.lock.give_up()
        struck: list[BaseException] = []
        try:
            yield from self.world.park(waiter, None, timeout)
        except BaseException as error:
            struck.append(error)
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        elif struck:
            self.tell(1)  # he cannot use it
        yield from self.take_again(depth, struck)
        if struck:
            raise struck[-1]
        return waiter.is_fired

    def take_again(self, depth: int, struck: list[BaseException]) -> Body:
        while True:
            try:
                yield from self.lock.take_again(depth)
                return
            except BaseException as error:
                struck.append(error)

    def __len__(self) -> int:
        return len(self.waiters)

    def check(self) -> None:
        if not self.lock.is_owned():
            raise RuntimeError

    def notify(self, count: int = 1) -> None:
        self.check()
        self.tell(count)

    def notify_all(self) -> None:
        self.notify(len(self.waiters))

    def tell(self, count: int) -> None:
        told, self.waiters = self.waiters[:count], self.waiters[count:]
        for waiter in told:
            self.world.fire(waiter)


class Pool:
    """Members in a set; who has ended is taken out by the hub."""

    def __init__(self, world: World, size: int | None) -> None:
        self.world = world
        self.size = size
        self.members: set[Any] = set()
        self.dying: set[Any] = set()
        self.is_empty = Event(world)
        self.is_empty.set()
        self.places = Semaphore(world, size or 0)

    def start(self, member: Any, blocking: bool = True, timeout: float | None = None) -> Body:
        if self.size is not None and not (yield from self.places.acquire(blocking, timeout)):
            raise PoolFull
        member.rawlink(self.leave)
        self.members.add(member)
        self.is_empty.clear()
        member.start()

    def leave(self, member: Any) -> None:
        if member not in self.members:
            return
        self.members.discard(member)
        self.dying.discard(member)
        if not self.members:
            self.is_empty.set()
        if self.size is not None:
            self.places.release()

    def discard(self, member: Any) -> None:
        member.unlink(self.leave)
        self.leave(member)

    def join(self, timeout: float | None = None) -> Body:
        return self.is_empty.wait(timeout)

    def wait_available(self, timeout: float | None = None) -> Body:
        if self.size is None:
            return 1
        return (yield from self.places.wait(timeout))

    def kill_all(self, block: bool, timeout: float | None) -> Body:
        limit = Limit(self.world, timeout, Timeout(timeout))
        try:
            while self.members:
                for member in list(self.members):
                    self.kill_once(member)
                if not block:
                    break
                for member in list(self.members):
                    yield from member.join()
                yield from self.world.sleep(0)
        except Timeout as struck:
            if struck is not limit.error:
                raise
        finally:
            limit.cancel()

    def kill_once(self, member: Any) -> None:
        if member not in self.dying:
            self.dying.add(member)
            member.throw(GreenletExit())

    def __len__(self) -> int:
        return len(self.members)

    def free_count(self) -> int:
        return 1 if self.size is None else self.places.counter
