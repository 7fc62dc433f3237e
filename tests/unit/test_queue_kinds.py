"""The kinds of queues: what comes first, peeking, shutting down, subclasses, channels."""

import heapq
import queue as stdlib
import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril import sleep, spawn
from fibril.queue import (
    Channel,
    Empty,
    Full,
    JoinableQueue,
    LifoQueue,
    PriorityQueue,
    Queue,
    ShutDown,
    SimpleQueue,
    UnboundQueue,
)
from tests.conftest import Growth, Sim


class Hooked(Queue):
    """As a subclass of the standard library's queue."""

    def _init(self, maxsize: int | None, items: Any = ()) -> None:
        self.queue = deque(items)

    def _qsize(self) -> int:
        return len(self.queue)

    def _put(self, item: Any) -> None:
        self.queue.append(item)

    def _get(self) -> Any:
        return self.queue.popleft()


KINDS = [SimpleQueue, Queue, LifoQueue, PriorityQueue, Hooked]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
JOINABLE = [Queue, LifoQueue, PriorityQueue, Hooked]
every_joinable = pytest.mark.parametrize("kind", JOINABLE, ids=lambda kind: kind.__name__)


# ---- what comes first ----


def test_each_kind_has_its_order(sim: Sim) -> None:
    items = [3, 1, 2]
    got = {kind: [queue.get() for queue in [kind(items=items)] for _ in items] for kind in KINDS}
    assert got[SimpleQueue] == got[Queue] == got[Hooked] == [3, 1, 2]
    assert got[LifoQueue] == [2, 1, 3]
    assert got[PriorityQueue] == [1, 2, 3]


def test_the_names_and_families_are_those_of_gevent() -> None:
    assert JoinableQueue is Queue
    assert all(issubclass(kind, Queue) for kind in [LifoQueue, PriorityQueue, UnboundQueue])
    assert issubclass(Queue, SimpleQueue)
    assert not hasattr(SimpleQueue, "join")
    assert not hasattr(SimpleQueue, "shutdown")
    assert (Empty, Full) == (stdlib.Empty, stdlib.Full)
    assert getattr(stdlib, "ShutDown", ShutDown) is ShutDown
    for kind in [*KINDS, Channel]:
        assert "[int]" in repr(kind[int])  # type: ignore[index]


@every_kind
def test_waiting_getters_and_putters_are_served_in_order(sim: Sim, kind: type[Queue]) -> None:
    items = kind(1)
    got: list[tuple[str, int]] = []
    getters = [spawn(lambda name=name: got.append((name, items.get()))) for name in "abc"]
    sleep(0)
    putters = [spawn(items.put, number) for number in range(6)]
    fibril.joinall(getters)
    assert got == [("a", 0), ("b", 1), ("c", 2)]
    assert [items.get() for _ in range(3)] == [3, 4, 5]
    fibril.joinall(putters)
    assert items.empty()
    assert not items.full()


@every_kind
def test_nobody_overtakes_a_getter_that_was_woken(sim: Sim, kind: type[Queue]) -> None:
    items = kind()
    first = spawn(items.get)
    sleep(0)
    items.put("first's")
    assert items.empty()
    assert len(items) == items.qsize() == 0
    with pytest.raises(Empty):
        items.get_nowait()
    assert first.get() == "first's"


@every_kind
def test_nobody_overtakes_a_putter_that_was_woken(sim: Sim, kind: type[Queue]) -> None:
    items = kind(1, [0])
    first = spawn(items.put, 1)
    sleep(0)
    assert items.get() == 0
    assert items.full()
    with pytest.raises(Full):
        items.put_nowait(2)
    first.get()
    assert items.get() == 1


@every_kind
@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_or_doubled(sim: Sim, kind: type[Queue], seed: int) -> None:
    chance = random.Random(seed)
    items = kind(chance.choice([None, 1, 3]))
    wanted, put, got = 200, 0, []

    def produce() -> None:
        nonlocal put
        while put < wanted:
            number, put = put, put + 1
            while True:
                try:
                    items.put(number, timeout=chance.choice([None, 1, 3]))
                    break
                except Full:
                    sleep(chance.choice([0, 1]))

    def consume() -> None:
        while True:
            try:
                got.append(items.get(timeout=chance.choice([None, 0, 2])))
                sleep(chance.choice([0, 0, 1]))
            except Empty:
                sleep(chance.choice([0, 1]))

    producers = [spawn(produce) for _ in range(3)]
    consumers = [spawn(consume) for _ in range(3)]
    for _ in range(100):
        sleep(chance.choice([0, 0, 1]))
        victim = chance.randrange(3)
        consumers[victim].kill(block=chance.random() < 0.5)
        consumers[victim] = spawn(consume)
    fibril.joinall(producers)
    for _ in range(2 * wanted):
        if len(got) == wanted:
            break
        sleep(1)
    fibril.killall(consumers)
    assert sorted(got) == list(range(wanted)), f"seed {seed}"


@every_kind
def test_native_threads_hand_over_each_item_once(fresh: None, kind: type[Queue]) -> None:
    items, results = kind(10), SimpleQueue()
    count, threads = 1000, 3

    def work() -> None:
        while (item := items.get()) >= 0:
            results.put(item)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for number in range(count):
        items.put(number)
    got = [results.get(timeout=20) for _ in range(count)]
    for _ in workers:
        items.put(-1)
    for worker in workers:
        worker.join(20)
    assert sorted(got) == list(range(count))


# ---- peek ----


@every_kind
def test_peek_shows_what_get_would_give(sim: Sim, kind: type[Queue]) -> None:
    items = kind(items=[2, 1, 3])
    assert [items.peek(), items.peek_nowait()] == [items.copy().get()] * 2
    assert len(items) == 3
    with pytest.raises(Empty):
        kind().peek_nowait()
    with pytest.raises(Empty):
        kind().peek(timeout=1)


@every_kind
def test_who_peeks_waits_in_line_and_leaves_the_item(sim: Sim, kind: type[Queue]) -> None:
    items = kind()
    order: list[str] = []
    tasks = [
        spawn(lambda name=name, call=call: order.append(f"{name}{call()}"))
        for name, call in [("a", items.peek), ("b", items.get), ("c", items.peek)]
    ]
    sleep(0)
    items.put(1)
    items.put(2)
    fibril.joinall(tasks)
    assert order == ["a1", "b1", "c2"]
    assert items.get_nowait() == 2


@every_kind
def test_a_peeker_killed_on_the_way_loses_nothing(sim: Sim, kind: type[Queue]) -> None:
    items = kind()
    peeker, getter = spawn(items.peek), spawn(items.get)
    sleep(0)
    items.put("item")
    peeker.kill()
    assert getter.get() == "item"


# ---- joining ----


def test_a_waiting_putters_item_counts_from_when_it_is_taken_in(sim: Sim) -> None:
    """It can be got, and done with, before the putter runs again."""
    items = Queue(1, [0])
    putter = spawn(items.put, 1)
    sleep(0)
    for number in range(2):
        assert items.get() == number
        items.task_done()
    assert items.unfinished_tasks == 0
    putter.get()
    assert items.join(timeout=0) is True


@every_joinable
def test_join_is_told_when_the_last_is_done(sim: Sim, kind: type[Queue]) -> None:
    items = kind(items=[1, 2])
    joiner = spawn(items.join)
    for _ in range(2):
        sleep(0)
        assert not joiner.ready()
        items.get()
        items.task_done()
    assert joiner.get() is True
    with pytest.raises(ValueError, match="too many times"):
        items.task_done()


def test_unfinished_tasks_may_be_given(sim: Sim) -> None:
    assert Queue(items=[1, 2]).unfinished_tasks == 2
    assert Queue(items=[1, 2], unfinished_tasks=5).unfinished_tasks == 5
    assert Queue(items=[1, 2], unfinished_tasks=5).copy().unfinished_tasks == 5
    with pytest.raises(ValueError, match="unfinished_tasks"):
        Queue(unfinished_tasks=-1)


# ---- shutting down ----


@every_joinable
def test_a_queue_that_is_shut_down_gives_what_it_has(sim: Sim, kind: type[Queue]) -> None:
    items = kind(items=[1])
    assert items.is_shutdown is False
    items.shutdown()
    assert items.is_shutdown is True
    for put in [items.put, items.put_nowait]:
        with pytest.raises(ShutDown):
            put(2)
    assert items.peek() == items.get() == 1
    for take in [items.get, items.get_nowait, items.peek, items.peek_nowait]:
        with pytest.raises(ShutDown):
            take()
    assert items.join(timeout=0) is False
    items.task_done()
    assert items.join() is True


@every_joinable
def test_shutting_down_tells_all_who_wait(sim: Sim, kind: type[Queue]) -> None:
    empty, full = kind(), kind(1, [0])
    tasks = [spawn(call) for call in [empty.get, empty.peek, lambda: full.put(1)]]
    sleep(0)
    empty.shutdown()
    full.shutdown()
    fibril.joinall(tasks)
    assert [type(task.exception) for task in tasks] == [ShutDown] * 3
    assert full.get() == 0


@every_joinable
def test_at_once_drops_what_there_is_and_frees_who_joins(sim: Sim, kind: type[Queue]) -> None:
    items = kind(items=[1, 2, 3])
    joiner = spawn(items.join)
    sleep(0)
    items.shutdown(immediate=True)
    assert joiner.get() is True
    assert items.empty()
    with pytest.raises(ShutDown):
        items.get()


def test_a_put_that_waits_for_its_turn_when_the_queue_is_shut_down_is_refused(sim: Sim) -> None:
    class Slow(Hooked):
        def _put(self, item: Any) -> None:
            sleep(1)
            super()._put(item)

    items = Slow()
    tasks = [spawn(items.put, "first"), spawn(items.put, "late")]
    sleep(0)
    tasks.append(spawn(items.shutdown, immediate=True))
    fibril.joinall(tasks)
    assert [type(task.exception) for task in tasks] == [type(None), ShutDown, type(None)]
    assert items.qsize() == 0


def test_what_is_dropped_with_the_old_items_finds_the_new_ones(sim: Sim) -> None:
    class Item:
        def __del__(self) -> None:
            found.append(items.qsize())

    found: list[int] = []
    items: Queue[Any] = Queue()
    items.put(Item())
    items.queue = deque([1, 2])  # type: ignore[assignment]  # as a subclass's _init() does
    assert found == [2]


@every_joinable
def test_a_getter_that_has_its_item_keeps_it_over_a_shutdown(sim: Sim, kind: type[Queue]) -> None:
    items = kind()
    getter = spawn(items.get)
    sleep(0)
    items.put(1)
    items.shutdown()
    assert getter.get() == 1


# ---- arguments ----


@every_kind
def test_waiting_for_less_than_no_time_is_refused(sim: Sim, kind: type[Queue]) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        kind().put(1, timeout=-1)
    with pytest.raises(ValueError, match="non-negative"):
        kind().get(timeout=-1)
    assert kind(items=[1]).get(timeout=-1) == 1
    with pytest.raises(Empty):
        kind().get(block=False, timeout=-1)


@every_kind
def test_room_can_be_added(sim: Sim, kind: type[Queue]) -> None:
    items = kind(1, [0])
    putters = [spawn(items.put, number) for number in (1, 2)]
    sleep(0)
    items.maxsize = 2
    assert items.maxsize == 2
    sleep(0)
    assert [putter.ready() for putter in putters] == [True, False]
    items.maxsize = None
    fibril.joinall(putters)
    assert items.maxsize is None
    assert len(items) == 3


@every_kind
def test_a_copy_has_the_same_items_and_size(sim: Sim, kind: type[Queue]) -> None:
    items = kind(5, [2, 1])
    copy = items.copy()
    items.get()
    assert type(copy) is kind
    assert (copy.maxsize, len(copy), len(items)) == (5, 2, 1)


def test_an_unbound_queue_takes_no_size() -> None:
    assert UnboundQueue(None, [1]).get() == 1
    with pytest.raises(ValueError, match="cannot limit"):
        UnboundQueue(3)  # type: ignore[arg-type]


# ---- the attribute `queue` ----


def test_the_items_can_be_looked_at_and_dropped(sim: Sim) -> None:
    items = Queue(2, ["a", "b"])
    putter = spawn(items.put, "c")
    sleep(0)
    assert list(items.queue) == ["a", "b"]
    assert (len(items.queue), items.queue[-1], "b" in items.queue) == (2, "b", True)
    assert repr(items.queue) == "['a', 'b']"
    items.queue.clear()
    putter.get()
    assert list(items.queue) == ["c"]


def test_the_items_cannot_be_replaced_under_somebody_who_waits(sim: Sim) -> None:
    items = Queue()
    getter = spawn(items.get)
    sleep(0)
    with pytest.raises(RuntimeError, match="somebody waits"):
        items.queue = deque([1])
    items.put(1)
    getter.get()
    items.queue = deque([7])
    assert items.get() == 7
    with pytest.raises(AttributeError):
        del items.queue


# ---- subclasses that keep the items ----


def test_a_class_that_keeps_items_its_own_way_is_asked(sim: Sim) -> None:
    class Unique(Queue):
        def _init(self, maxsize: Any) -> None:  # type: ignore[override]
            self.queue = set()

        def _put(self, item: Any) -> None:
            self.queue.add(item)

        def _get(self) -> Any:
            return self.queue.pop()

    items = Unique(2)
    for _ in range(5):
        items.put("same", block=False)
    assert len(items) == 1
    assert items.get() == "same"
    assert items.empty()


def test_only_what_is_overridden_differs(sim: Sim) -> None:
    class Doubling(Queue):
        def _put(self, item: Any) -> None:
            super()._put(item)
            super()._put(item)

    class Last(LifoQueue):
        def _init(self, maxsize: Any, items: Any = ()) -> None:
            self.queue = list(items)

    items = Doubling()
    getters = [spawn(items.get) for _ in range(2)]
    sleep(0)
    items.put(1)
    assert [getter.get() for getter in getters] == [1, 1]
    last = Last(items=[1, 2])
    last.put(3)
    assert [last.peek(), *(last.get() for _ in range(3))] == [3, 3, 2, 1]


def test_a_method_that_fails_is_told_where_it_was_wanted(sim: Sim) -> None:
    class Picky(Queue):
        def _put(self, item: Any) -> None:
            if item == "bad":
                raise ValueError("bad item")
            super()._put(item)

        def _get(self) -> Any:
            item = super()._get()
            if item == "sour":
                raise LookupError("sour item")
            return item

    items = Picky(1, ["first"])
    putters = [spawn(items.put, item) for item in ("bad", "good", "sour")]
    sleep(0)
    assert items.get() == "first"
    with pytest.raises(ValueError, match="bad item"):
        putters[0].get()
    assert items.get() == "good"
    with pytest.raises(LookupError, match="sour item"):
        items.get()
    assert items.unfinished_tasks == 3


def test_items_that_do_not_compare_fail_where_they_are_put(sim: Sim) -> None:
    items = PriorityQueue(items=[1])
    with pytest.raises(TypeError):
        items.put("text")
    assert items.get() == 1


def test_a_method_that_waits_lets_nobody_else_in(sim: Sim) -> None:
    class Slow(Queue):
        inside = 0

        def _put(self, item: Any) -> None:
            self.inside += 1
            assert self.inside == 1
            sleep(1)
            super()._put(item)
            self.inside -= 1

    items = Slow()
    putters = [spawn(items.put, number) for number in range(5)]
    getters = [spawn(items.get) for _ in range(5)]
    fibril.joinall(putters)
    assert sorted(getter.get() for getter in getters) == list(range(5))


def test_a_killed_fiber_leaves_the_methods_to_others(sim: Sim) -> None:
    class Slow(Queue):
        def _put(self, item: Any) -> None:
            sleep(10)
            super()._put(item)

    items = Slow()
    first, second, third = (spawn(items.put, number) for number in range(3))
    sleep(1)
    second.kill()
    first.kill()
    third.get()
    assert items.get() == 2
    assert items.empty()


def test_a_method_that_uses_its_own_queue_is_told(sim: Sim) -> None:
    class Nested(PriorityQueue):
        def _put(self, item: Any) -> None:
            self.put(item)

    with pytest.raises(RuntimeError, match="inside one of its methods"):
        Nested().put(1)


def test_a_size_that_cannot_be_is_told(sim: Sim) -> None:
    class Negative(Queue):
        def _qsize(self) -> int:
            return -1

    with pytest.raises(ValueError, match="must not be negative"):
        Negative().put(1)


def test_a_queue_is_its_own_type_beside_the_standard_librarys_heap(sim: Sim) -> None:
    numbers = random.Random(1).sample(range(1000), 200)
    items = PriorityQueue(items=numbers)
    assert items.queue[0] == min(numbers)
    heap = list(numbers)
    heapq.heapify(heap)
    assert [items.get() for _ in numbers] == [heapq.heappop(heap) for _ in numbers]


# ---- channels ----


def test_a_channel_holds_nothing(sim: Sim) -> None:
    channel = Channel()
    done: list[str] = []
    putter = spawn(lambda: (channel.put(1), done.append("put")))
    sleep(0)
    assert (done, channel.balance, channel.qsize()) == ([], 1, 0)
    assert channel.empty() is channel.full() is bool(channel) is True
    assert channel.get() == 1
    putter.join()
    assert (done, channel.balance) == (["put"], 0)
    getter = spawn(channel.get)
    sleep(0)
    assert channel.balance == -1
    channel.put(2)
    assert getter.get() == 2


def test_a_channel_refuses_who_will_not_wait(sim: Sim) -> None:
    channel = Channel()
    with pytest.raises(Full):
        channel.put_nowait(1)
    with pytest.raises(Full):
        channel.put(1, timeout=2)
    with pytest.raises(Empty):
        channel.get_nowait()
    with pytest.raises(Empty):
        channel.get(timeout=2)
    getter = spawn(channel.get)
    sleep(0)
    channel.put_nowait(1)
    assert getter.get() == 1
    with pytest.raises(ValueError, match="size 2"):
        Channel(2)


def test_what_met_a_getter_that_is_killed_goes_to_the_next(sim: Sim) -> None:
    channel = Channel()
    victim = spawn(channel.get)
    sleep(0)
    channel.put("item")
    victim.kill()
    assert channel.get() == "item"


def test_a_putter_killed_in_a_channel_takes_its_item_along(sim: Sim) -> None:
    channel = Channel()
    putter = spawn(channel.put, "item")
    sleep(0)
    putter.kill()
    with pytest.raises(Empty):
        channel.get_nowait()


def test_a_channel_is_iterated_until_the_end(sim: Sim) -> None:
    channel = Channel()
    spawn(lambda: [channel.put(item) for item in (1, 2, StopIteration)])
    assert list(channel) == [1, 2]


# ---- nothing is left behind ----


@pytest.mark.parametrize("kind", [*KINDS, Channel], ids=lambda kind: kind.__name__)
def test_queues_of_all_kinds_leave_nothing_behind(growth: Growth, kind: Callable[..., Any]) -> None:
    def once() -> None:
        items = kind(1)
        if kind is Hooked:
            items.itself = items
        tasks = [spawn(items.get), spawn(items.put, 1), spawn(items.get), spawn(items.get)]
        sleep(0)
        items.put(2)
        tasks[2].kill()
        tasks[3].kill()

    growth.refuse(once)
