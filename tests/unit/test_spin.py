"""Fairness: a fiber that only polls does not keep the thread from whoever could end its loop."""

import selectors
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fibril
from fibril import Timeout, get_hub, select, sleep, socket, spawn
from fibril.event import AsyncResult, Event
from fibril.lock import BoundedSemaphore, RLock, Semaphore
from fibril.queue import Channel, Empty, Full, PriorityQueue, Queue
from fibril.selectors import DefaultSelector
from tests.conftest import Interpreter, Sim

POLLS_MAX = 20_000_000  # a bound, not a figure: a loop ends after some tens of thousands


def spin(is_over: Callable[[], Any]) -> None:
    for _ in range(POLLS_MAX):
        if is_over():
            return
    pytest.fail("nobody else had his turn")


def refuses(error: type[Exception], call: Callable[..., Any], *args: Any) -> Callable[[], bool]:
    def is_over() -> bool:
        try:
            call(*args)
        except error:
            return False
        return True

    return is_over


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    left, right = socket.socketpair()
    with left, right:
        right.setblocking(False)
        yield left, right


# ---- each way to poll: it begins to poll before the other task has run ----

LOOPS: list[Callable[[], None]] = []


def loop(function: Callable[[], None]) -> Callable[[], None]:
    LOOPS.append(function)
    return function


@loop
def event_is_set() -> None:
    event = Event()
    spawn(event.set)
    spin(event.is_set)


@loop
def result_is_ready() -> None:
    result = AsyncResult()
    spawn(result.set)
    spin(result.ready)


@loop
def result_is_got_at_once() -> None:
    result = AsyncResult()
    spawn(result.set)
    spin(refuses(Timeout, result.get, False))


@loop
def task_is_ready() -> None:
    spin(spawn(sleep, 0.02).ready)


@loop
def task_as_a_truth() -> None:
    task = spawn(sleep, 0.02)
    spin(lambda: not task)


@loop
def task_is_got_at_once() -> None:
    spin(refuses(Timeout, spawn(sleep, 0.02).get, False))


@loop
def queue_is_empty() -> None:
    items = Queue(1, [1])
    spawn(items.get)
    spin(items.empty)


@loop
def queue_is_full() -> None:
    items = Queue(1)
    spawn(items.put, 1)
    spin(items.full)


@loop
def queue_has_a_size() -> None:
    items = Queue()
    spawn(items.put, 1)
    spin(items.qsize)


@loop
def queue_has_a_length() -> None:
    items = Queue()
    spawn(items.put, 1)
    spin(lambda: len(items))


@loop
def queue_is_got_from_at_once() -> None:
    items = Queue()
    spawn(items.put, 1)
    spin(refuses(Empty, items.get, False))


@loop
def queue_is_got_from_without_waiting() -> None:
    items = Queue()
    spawn(items.put, 1)
    spin(refuses(Empty, items.get_nowait))


@loop
def queue_is_peeked_into_without_waiting() -> None:
    items = Queue()
    spawn(items.put, 1)
    spin(refuses(Empty, items.peek_nowait))


@loop
def queue_is_put_into_without_waiting() -> None:
    items = Queue(1, [1])
    spawn(items.get)
    spin(refuses(Full, items.put_nowait, 2))


@loop
def heap_is_got_from_without_waiting() -> None:
    items = PriorityQueue()
    spawn(items.put, 1)
    spin(refuses(Empty, items.get_nowait))


@loop
def channel_is_got_from_without_waiting() -> None:
    channel = Channel()
    spawn(channel.put, 1)
    spin(refuses(Empty, channel.get_nowait))


@loop
def semaphore_is_acquired_without_waiting() -> None:
    gate = Semaphore(0)
    spawn(gate.release)
    spin(lambda: gate.acquire(False))


@loop
def semaphore_is_locked() -> None:
    gate = Semaphore(0)
    spawn(gate.release)
    spin(lambda: not gate.locked())


@loop
def semaphore_is_ready() -> None:
    gate = Semaphore(0)
    spawn(gate.release)
    spin(gate.ready)


def hold(lock: Any) -> None:
    with lock:
        sleep(0.02)


@loop
def bounded_semaphore_is_acquired_without_waiting() -> None:
    lock = BoundedSemaphore(1)
    spawn(hold, lock)
    sleep(0)
    spin(lambda: lock.acquire(blocking=False))


@loop
def rlock_is_acquired_without_waiting() -> None:
    lock = RLock()
    spawn(hold, lock)
    sleep(0)
    spin(lambda: lock.acquire(False))


@loop
def rlock_is_locked() -> None:
    lock = RLock()
    spawn(hold, lock)
    sleep(0)
    spin(lambda: not lock.locked())


@pytest.mark.parametrize("run", LOOPS, ids=lambda run: run.__name__)
def test_a_loop_that_only_polls_ends_when_somebody_ends_it(
    fresh: None, run: Callable[[], None]
) -> None:
    run()


def test_a_socket_that_never_waits_may_be_polled(fresh: None, pair: tuple[Any, Any]) -> None:
    left, right = pair
    spawn(left.send, b"x")
    spin(refuses(BlockingIOError, right.recv, 1))


def test_select_without_waiting_may_be_polled(fresh: None, pair: tuple[Any, Any]) -> None:
    left, right = pair
    spawn(left.send, b"x")
    spin(lambda: select.select([right], [], [], 0)[0])


def test_a_busy_selector_lets_others_run(fresh: None, pair: tuple[Any, Any]) -> None:
    left, right = pair
    ran: list[bool] = []
    with DefaultSelector() as selector:
        selector.register(right, selectors.EVENT_READ)
        left.send(b"x")
        spawn(ran.append, True)
        spin(lambda: selector.select(0) and ran)
    assert ran == [True]


# ---- who else is served, and who is not disturbed ----


def test_timers_and_descriptors_are_served_while_somebody_polls(
    fresh: None, pair: tuple[Any, Any]
) -> None:
    event, seen = Event(), []
    left, right = pair
    right.setblocking(True)

    def wait_for_time() -> None:
        sleep(0.01)
        seen.append("time")
        left.send(b"x")

    def wait_for_data() -> None:
        seen.append(right.recv(1))
        event.set()

    tasks = [spawn(wait_for_time), spawn(wait_for_data)]
    spin(event.is_set)
    assert seen == ["time", b"x"]
    fibril.joinall(tasks)


def test_who_polls_can_be_killed_and_timed_out(fresh: None) -> None:
    event = Event()
    with pytest.raises(Timeout), Timeout(0.01):
        spin(event.is_set)
    victim = spawn(spin, event.is_set)
    spawn(victim.kill)
    victim.join()
    assert isinstance(victim.value, fibril.GreenletExit)


def test_a_few_polls_switch_to_nobody(fresh: None) -> None:
    event, ran = Event(), []
    spawn(ran.append, "other")
    for _ in range(200):
        event.is_set()
    assert ran == []


def test_polls_between_waits_switch_to_nobody(fresh: None) -> None:
    """The count begins anew with each switch, however long it has been polling in all."""
    event, ran = Event(), []

    def poll_and_wait() -> None:
        for _ in range(20):
            for _ in range(300):
                event.is_set()
            sleep(0.001)

    def only_once() -> None:
        before = get_hub().statistics()["switches"]
        for _ in range(300):
            event.is_set()
        ran.append(get_hub().statistics()["switches"] - before)

    poller = spawn(poll_and_wait)
    sleep(0.01)
    only_once()
    poller.join()
    assert ran == [0]


def test_inside_the_hub_polling_goes_on_without_a_switch(fresh: None) -> None:
    event, done = Event(), []

    def callback() -> None:
        began = time.monotonic()
        while time.monotonic() - began < 0.02:
            event.is_set()
        done.append(True)

    get_hub().call_soon(callback)
    sleep(0)
    sleep(0)
    assert done == [True]


def test_the_standard_librarys_queue_may_be_polled_under_a_patch(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import fibril.monkey
        fibril.monkey.patch_all()
        import queue, threading, time
        items = queue.Queue()
        items.put(1)
        def take():
            items.get()
        threading.Thread(target=take).start()
        for _ in range(20_000_000):
            if items.empty():
                break
        else:
            raise SystemExit("nobody took it")
        print("taken")
    """)
    assert out == "taken\n"


def test_virtual_time_does_not_stand_in_the_way(sim: Sim) -> None:
    event = Event()
    spawn(event.set)
    spin(event.is_set)
