"""A Timeout where a number of seconds is expected, as gevent's programs give one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from fibril import GreenletExit, Task, Timeout, joinall, killall, sleep, spawn
from fibril.event import AsyncResult, Event
from fibril.lock import RLock, Semaphore
from fibril.queue import Channel, PriorityQueue, Queue, SimpleQueue
from tests.conftest import Sim

LONG = 1000


class Failure(Exception):
    pass


def immortal() -> Task:
    def stay() -> None:
        while True:
            try:
                sleep(LONG)
            except GreenletExit:
                pass

    task = spawn(stay)
    sleep(0)
    return task


def locked() -> RLock:
    lock = RLock()
    spawn(lock.acquire).join()
    return lock


class Call(NamedTuple):
    """What waits in vain, for as long as it is given."""

    wait: Callable[[Any], Any]
    late: Any  # what it returns then; Timeout: it raises that


CALLS = {
    "join": Call(lambda timeout: spawn(sleep, LONG).join(timeout), None),
    "get": Call(lambda timeout: spawn(sleep, LONG).get(timeout=timeout), Timeout),
    "Event": Call(lambda timeout: Event().wait(timeout), False),
    "Semaphore": Call(lambda timeout: Semaphore(0).acquire(timeout=timeout), False),
    "Semaphore.wait": Call(lambda timeout: Semaphore(0).wait(timeout), 0),
    "RLock": Call(lambda timeout: locked().acquire(timeout=timeout), False),
    "AsyncResult": Call(lambda timeout: AsyncResult().get(timeout=timeout), Timeout),
    "Queue.get": Call(lambda timeout: Queue().get(timeout=timeout), Timeout),
    "SimpleQueue.peek": Call(lambda timeout: SimpleQueue().peek(timeout=timeout), Timeout),
    "Queue.put": Call(lambda timeout: Queue(1, [1]).put(2, timeout=timeout), Timeout),
    "Queue.join": Call(lambda timeout: Queue(1, [1]).join(timeout), False),
    "Channel": Call(lambda timeout: Channel().put(1, timeout=timeout), Timeout),
    "PriorityQueue": Call(lambda timeout: PriorityQueue().get(timeout=timeout), Timeout),
    "joinall": Call(lambda timeout: joinall([spawn(sleep, LONG)], timeout=timeout), []),
    "killall": Call(lambda timeout: killall([immortal()], timeout=timeout), Timeout),
}

calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@calls
@pytest.mark.parametrize("is_pending", [False, True], ids=["new", "pending"])
def test_it_ends_the_wait_as_its_seconds_do(sim: Sim, call: Call, is_pending: bool) -> None:
    timeout = Timeout(3)
    if is_pending:
        timeout.start()
    began = sim.now()
    if call.late is Timeout:
        with pytest.raises(Timeout) as caught:
            call.wait(timeout)
        assert caught.value is timeout
    else:
        assert call.wait(timeout) == call.late
    assert sim.now() - began == pytest.approx(3)
    assert not timeout.pending
    sleep(LONG)  # it would strike here


@calls
def test_what_it_throws_instead_of_itself_is_raised(sim: Sim, call: Call) -> None:
    if call.late == []:
        return  # joinall() says who has ended by then, however that was told
    for exception in (Failure, Failure("given")):
        with pytest.raises(Failure):
            call.wait(Timeout(3, exception))


def test_what_it_cannot_throw_is_refused(sim: Sim) -> None:
    with pytest.raises(TypeError, match="cannot time out with 5"):
        Event().wait(Timeout(3, 5))  # type: ignore[arg-type]  # a number of seconds, for checkers


def test_what_comes_in_time_ends_it_and_another_timeout_is_not_lost(sim: Sim) -> None:
    queue: Queue[str] = Queue()
    spawn(lambda: (sleep(1), queue.put("item")))
    timeout = Timeout.start_new(3)
    assert queue.get(timeout=timeout) == "item"
    assert not timeout.pending
    with pytest.raises(Timeout) as caught, Timeout(2) as outer:
        queue.get(timeout=Timeout(3))
    assert caught.value is outer
    sleep(LONG)


def test_it_does_not_count_where_nobody_waits(sim: Sim) -> None:
    timeout = Timeout.start_new(3)
    queue: Queue[int] = Queue(1, [1])
    assert queue.get(timeout=timeout) == 1
    assert timeout.pending
    timeout.cancel()
    with pytest.raises(ValueError, match="'timeout' must be"):
        queue.get(timeout=-1)
    with pytest.raises(TypeError, match="must be a number"):
        queue.get(timeout=Failure())  # type: ignore[arg-type]  # on purpose
