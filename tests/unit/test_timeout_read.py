"""A timeout may be anything with a __float__, and reading it may run any code: what comes meanwhile
is not missed, in any wait."""

from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril.event import AsyncResult, Event
from fibril.lock import BoundedSemaphore, Condition, RLock, Semaphore
from fibril.queue import Channel, JoinableQueue, LifoQueue, Queue, ShutDown, SimpleQueue
from fibril.thread import LockType
from tests.conftest import Sim

Act = Callable[[], object]
HOUR_S = 3600.0


class Acting:
    """An hour, the last of whose readings lets somebody act."""

    def __init__(self, act: Act, readings: int = 1) -> None:
        self.act = act
        self.readings = readings

    def __float__(self) -> float:
        self.readings -= 1
        if self.readings == 0:
            self.act()
        return HOUR_S


QUEUE_READINGS = 2  # get() and put() look first whether it is negative


def elsewhere(act: Act) -> Act:
    """Another fiber does it, while this one waits for that."""
    return lambda: fibril.spawn(act).join()


def taken(lock: Any) -> Act:
    """Another fiber has the lock, until the time is read."""
    is_wanted = Event()

    def hold() -> None:
        with lock:
            is_wanted.wait()

    holder = fibril.spawn(hold)
    fibril.sleep(0)

    def give() -> None:
        is_wanted.set()
        holder.join()

    return give


def event_wait() -> object:
    event = Event()
    return event.wait(Acting(event.set))


def result_get() -> object:
    result: AsyncResult[bool] = AsyncResult()
    return result.get(timeout=Acting(lambda: result.set(True)))


def semaphore_wait() -> object:
    semaphore = Semaphore(0)
    return semaphore.wait(Acting(semaphore.release)) == 1


def acquire(make: Callable[[], Any]) -> Callable[[], object]:
    def wait() -> object:
        lock = make()
        give = taken(lock)
        return lock.acquire(timeout=Acting(give))

    return wait


def task_join() -> object:
    event = Event()
    task = fibril.spawn(event.wait)

    def end() -> None:
        event.set()
        fibril.sleep(0)

    task.join(Acting(end))
    return task.ready()


def task_get() -> object:
    event = Event()
    task = fibril.spawn(event.wait)

    def end() -> None:
        event.set()
        fibril.sleep(0)

    return task.get(timeout=Acting(end))


def task_kill() -> object:
    task = fibril.spawn(Event().wait)
    fibril.sleep(0)
    task.kill(timeout=Acting(elsewhere(lambda: fibril.sleep(0))))
    return task.ready()


def queue_get(make: Callable[[], Any]) -> Callable[[], object]:
    def wait() -> object:
        queue = make()
        return queue.get(
            timeout=Acting(elsewhere(lambda: queue.put(True, block=False)), QUEUE_READINGS)
        )

    return wait


def channel_get() -> object:
    channel = Channel[bool]()

    def act() -> None:
        fibril.spawn(channel.put, True)
        fibril.sleep(0)

    return channel.get(timeout=Acting(act, QUEUE_READINGS))


def queue_peek() -> object:
    queue: Queue[bool] = Queue()
    time = Acting(lambda: queue.put(True), QUEUE_READINGS)
    return queue.peek(timeout=time) and queue.qsize() == 1


def queue_put(make: Callable[[int], Any]) -> Callable[[], object]:
    def wait() -> object:
        queue = make(1)
        queue.put(1)
        queue.put(2, timeout=Acting(queue.get, QUEUE_READINGS))
        return queue.get(block=False) == 2

    return wait


def queue_join() -> object:
    queue: JoinableQueue[int] = JoinableQueue()
    queue.put(1)
    return queue.join(timeout=Acting(queue.task_done))


def shut_queue_get() -> object:
    queue: Queue[int] = Queue()
    with pytest.raises(ShutDown):
        queue.get(timeout=Acting(queue.shutdown, QUEUE_READINGS))
    return True


def shut_queue_put() -> object:
    queue: Queue[int] = Queue(1)
    queue.put(1)
    with pytest.raises(ShutDown):
        queue.put(2, timeout=Acting(queue.shutdown, QUEUE_READINGS))
    return True


def condition_wait() -> object:
    """Who has the condition's lock gives it up first, and reads the time then."""
    condition = Condition()

    def notify() -> None:
        with condition:
            condition.notify()

    with condition:
        fibril.spawn(notify)
        return condition.wait(timeout=Acting(lambda: fibril.sleep(0)))


WAITS = {
    "Event.wait": event_wait,
    "AsyncResult.get": result_get,
    "Semaphore.wait": semaphore_wait,
    "Semaphore.acquire": acquire(Semaphore),
    "BoundedSemaphore.acquire": acquire(BoundedSemaphore),
    "RLock.acquire": acquire(RLock),
    "LockType.acquire": acquire(LockType),
    "Condition.wait": condition_wait,
    "Task.join": task_join,
    "Task.get": task_get,
    "Task.kill": task_kill,
    "Queue.get": queue_get(Queue),
    "SimpleQueue.get": queue_get(SimpleQueue),
    "LifoQueue.get": queue_get(LifoQueue),
    "Channel.get": channel_get,
    "Queue.peek": queue_peek,
    "Queue.put": queue_put(Queue),
    "LifoQueue.put": queue_put(LifoQueue),
    "JoinableQueue.join": queue_join,
    "Queue.get, shut down": shut_queue_get,
    "Queue.put, shut down": shut_queue_put,
}


@pytest.mark.parametrize("name", WAITS)
def test_what_comes_while_a_timeout_is_read_is_not_missed(sim: Sim, name: str) -> None:
    began = sim.now()
    assert WAITS[name]() is True
    assert sim.now() - began < HOUR_S / 2
