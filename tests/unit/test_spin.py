"""Fairness: a fiber that only polls does not keep the thread from whoever could end its loop."""

import importlib
import selectors
import signal
import sys
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


def poll_for(seconds: float, *polls: Callable[[], Any]) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for poll in polls:
            poll()


def take_and_give(lock: Any) -> Callable[[], None]:
    def use() -> None:
        with lock:
            pass

    return use


def test_what_is_thrown_meanwhile_waits_until_the_task_does(fresh: None) -> None:
    """Code that does not wait, in a finally block perhaps, is not struck, nor is the turn."""
    event, items, gone_on = Event(), Queue(), []
    polls = [event.is_set, event.set, items.qsize, items.empty, refuses(Empty, items.get_nowait)]
    polls += map(take_and_give, (Semaphore(1), BoundedSemaphore(1), RLock()))

    def work() -> None:
        try:
            poll_for(0.05, *polls)
        finally:
            poll_for(0.02, *polls)
            gone_on.append(fibril.getcurrent())
        sleep(0)

    with pytest.raises(Timeout), Timeout(0.001):
        work()
    victim = spawn(work)
    spawn(victim.kill, block=False)
    victim.join()
    assert isinstance(victim.value, fibril.GreenletExit)
    assert gone_on == [fibril.getcurrent(), victim]


def test_who_is_switched_to_by_hand_in_such_a_turn_is_told_at_its_next_wait(fresh: None) -> None:
    event = Event()

    def work() -> None:
        poll_for(0.03, event.is_set)
        told.append("went on")
        sleep(0)

    told: list[str] = []
    task = spawn(work)
    spawn(task.switch, "by hand")
    with pytest.raises(fibril.hub.InvalidSwitchError, match="by hand"):
        task.get()
    assert told == ["went on"]


class Undone:
    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __del__(self) -> None:
        self.act()


def in_a_finalizer(act: Callable[[], None]) -> None:
    Undone(act)


def in_a_handler(act: Callable[[], None]) -> None:
    former = signal.signal(signal.SIGUSR1, lambda *_: act())
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, former)


def in_a_tracer(act: Callable[[], None]) -> None:
    def trace(*_: object) -> None:
        sys.settrace(None)
        act()

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        idle()
    finally:
        sys.settrace(former)


def in_a_profiler(act: Callable[[], None]) -> None:
    def profile(*_: object) -> None:
        sys.setprofile(None)
        act()

    former = sys.getprofile()
    sys.setprofile(profile)
    try:
        idle()
    finally:
        sys.setprofile(former)


def in_an_import(act: Callable[[], None]) -> None:
    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "a_module_that_is_not_there":
                act()

    sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]
    try:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("a_module_that_is_not_there")
    finally:
        sys.meta_path.remove(Finder)  # type: ignore[arg-type]


def idle() -> None:
    pass


def at_any_other_place(act: Callable[[], None]) -> None:
    act()


@pytest.mark.parametrize(
    "place", [in_a_finalizer, in_a_handler, in_a_tracer, in_a_profiler, in_an_import]
)
def test_there_is_no_turn_where_nobody_would_expect_one(
    place: Callable[[Callable[[], None]], None],
) -> None:
    event, ran = Event(), []
    task = spawn(ran.append, "other")
    place(lambda: poll_for(0.03, event.is_set, take_and_give(Semaphore(1))))
    assert ran == []
    at_any_other_place(lambda: poll_for(0.03, event.is_set))
    assert ran == ["other"]
    task.join()


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
