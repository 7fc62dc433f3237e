"""Queue: items arrive once, in order, to fibers served in order, whoever is killed meanwhile."""

import queue as stdlib
import random
import threading
from typing import Any

import pytest

import fibril
from fibril import Timeout, sleep, spawn
from fibril.queue import Channel, Empty, Full, LifoQueue, PriorityQueue, Queue, SimpleQueue
from tests.conftest import Growth, Sim


def test_items_come_out_in_the_order_they_went_in(sim: Sim) -> None:
    items = Queue(items=[1, 2])
    items.put(3)
    assert [items.get() for _ in range(3)] == [1, 2, 3]


def test_a_bounded_queue_holds_no_more_than_its_size(sim: Sim) -> None:
    items = Queue(3)
    highest = 0

    def produce() -> None:
        for number in range(20):
            items.put(number)

    producer = spawn(produce)
    for number in range(20):
        sleep(1)
        highest = max(highest, items.qsize())
        assert items.get() == number
    producer.get()
    assert highest == 3
    assert items.empty()
    assert len(items) == 0


def test_getters_are_served_in_the_order_they_came(sim: Sim) -> None:
    items = Queue()
    served = []

    def get(name: str) -> None:
        served.append((name, items.get()))

    tasks = [spawn(get, name) for name in "abc"]
    sleep(0)
    for number in range(3):
        items.put(number)
    fibril.joinall(tasks)
    assert served == [("a", 0), ("b", 1), ("c", 2)]


def test_putters_are_served_in_the_order_they_came(sim: Sim) -> None:
    items = Queue(1, items=["first"])
    tasks = [spawn(items.put, name) for name in "abc"]
    sleep(0)
    assert [items.get() for _ in range(4)] == ["first", "a", "b", "c"]
    fibril.joinall(tasks)


def test_get_and_put_without_waiting_raise_the_standard_librarys_exceptions(sim: Sim) -> None:
    items = Queue(1)
    with pytest.raises(stdlib.Empty):
        items.get(block=False)
    with pytest.raises(Empty):
        items.get_nowait()
    items.put_nowait(1)
    with pytest.raises(stdlib.Full):
        items.put_nowait(2)
    with pytest.raises(Full):
        items.put(2, block=False)


def test_waiting_ends_with_the_timeout(sim: Sim) -> None:
    items = Queue(1)
    began = sim.now()
    with pytest.raises(Empty):
        items.get(timeout=5)
    items.put(1)
    with pytest.raises(Full):
        items.put(2, timeout=5)
    assert sim.now() - began == pytest.approx(10)
    assert items.get() == 1
    assert items.empty()


@pytest.mark.parametrize(("kind", "order"), [(Queue, [1, 2, 3]), (LifoQueue, [3, 2, 1])])
def test_items_of_several_killed_getters_are_where_they_would_be(
    kind: type[Queue], order: list[int], sim: Sim
) -> None:
    items = kind()
    getters = [spawn(items.get) for _ in range(2)]
    sleep(0)
    for number in (1, 2, 3):
        items.put(number)
    fibril.killall(getters)
    assert [items.get_nowait() for _ in range(3)] == order


@pytest.mark.parametrize("kind", [Queue, LifoQueue])
def test_many_items_that_come_back_keep_their_order(kind: type[Queue], sim: Sim) -> None:
    items = kind()
    getters = [spawn(items.get) for _ in range(100)]
    sleep(0)
    for number in range(150):  # more come than there are getters, so the ring grows in between
        items.put(number)
    fibril.killall(getters)
    rest = [items.get_nowait() for _ in range(150)]
    assert rest == sorted(range(150), reverse=kind is LifoQueue)


def test_a_getter_killed_with_an_item_in_hand_puts_it_back_in_front(sim: Sim) -> None:
    items = Queue()
    victim = spawn(items.get)
    sleep(0)
    items.put("kept")
    items.put("second")
    victim.kill()
    assert [items.get(), items.get()] == ["kept", "second"]


def test_a_getter_killed_with_an_item_in_hand_gives_it_to_the_next_getter(sim: Sim) -> None:
    items = Queue()
    victim, heir = spawn(items.get), spawn(items.get)
    sleep(0)
    items.put("kept")
    victim.kill(block=False)
    assert heir.get() == "kept"
    assert isinstance(victim.value, fibril.GreenletExit)


def test_a_getter_whose_time_is_over_with_an_item_in_hand_puts_it_back(sim: Sim) -> None:
    items = Queue()
    victim = spawn(fibril.with_timeout, 5, items.get, timeout_value="too late")
    spawn(lambda: (sleep(5), items.put("kept")))
    assert victim.get() in ("too late", "kept")
    if victim.get() == "too late":
        assert items.get_nowait() == "kept"


def test_a_putter_killed_while_it_waits_leaves_nothing(sim: Sim) -> None:
    items = Queue(1, items=["first"])
    victim = spawn(items.put, "never")
    sleep(0)
    victim.kill()
    assert items.get() == "first"
    with pytest.raises(Empty):
        items.get_nowait()
    assert items.unfinished_tasks == 1


def test_join_waits_until_all_is_done(sim: Sim) -> None:
    items = Queue(items=range(3))
    assert items.join(timeout=1) is False

    def work() -> None:
        for _ in range(3):
            items.get()
            sleep(1)
            items.task_done()

    spawn(work)
    assert items.join() is True
    with pytest.raises(ValueError, match="too many times"):
        items.task_done()


def test_iteration_ends_with_the_class_stop_iteration(sim: Sim) -> None:
    assert list(Queue(items=[1, 2, StopIteration, 3])) == [1, 2]


def test_a_queue_is_true_even_when_empty_and_takes_a_type_parameter(sim: Sim) -> None:
    assert Queue()
    assert Queue().maxsize is None
    assert Queue(0).maxsize is None
    assert Queue(7).maxsize == 7
    assert "Queue[int]" in repr(Queue[int])


@pytest.mark.parametrize("kind", [Queue, SimpleQueue, LifoQueue, PriorityQueue])
def test_an_item_may_be_given_by_name(sim: Sim, kind: Any) -> None:
    queue = kind()
    queue.put(item=1)
    queue.put(block=False, item=2)
    queue.put_nowait(item=3)
    assert sorted(queue.get() for _ in range(3)) == [1, 2, 3]
    for wrong in ({}, {"block": False}, {"items": 1}):
        with pytest.raises(TypeError, match=r"use put\("):
            queue.put(**wrong)
    with pytest.raises(TypeError, match=r"use put\("):
        queue.put(1, item=2)
    with pytest.raises(TypeError, match=r"use put_nowait\("):
        queue.put_nowait()


def test_a_channels_item_may_be_given_by_name(sim: Sim) -> None:
    channel: Channel[int] = Channel()
    getters = [spawn(channel.get) for _ in range(2)]
    sleep(0)
    channel.put(item=1)
    channel.put_nowait(item=2)
    assert [getter.get() for getter in getters] == [1, 2]


@pytest.mark.parametrize("arguments", [(), (1, 2, 3, 4)])
def test_wrong_arguments_are_refused_with_the_right_form(arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"use put\(item, block=True, timeout=None\)"):
        Queue().put(*arguments)
    with pytest.raises(TypeError, match=r"use get\(block=True, timeout=None\)"):
        Queue().get(colour="red")


@pytest.mark.parametrize("seed", range(20))
def test_no_item_is_lost_or_doubled_whoever_is_killed_or_times_out(sim: Sim, seed: int) -> None:
    chance = random.Random(seed)
    items = Queue(chance.choice([None, 1, 2, 5]))
    wanted = 300
    got: list[int] = []

    def produce(numbers: range) -> None:
        for number in numbers:
            while True:
                try:
                    items.put(number, timeout=chance.choice([None, 1, 3]))
                    break
                except Full:
                    continue
            if chance.random() < 0.3:
                sleep(chance.choice([0, 1]))

    def consume() -> None:
        while True:
            try:
                got.append(items.get(timeout=chance.choice([None, 0, 1, 2])))
            except Empty:
                sleep(chance.choice([0, 1]))
            except Timeout:
                continue

    producers = [spawn(produce, range(n, wanted, 3)) for n in range(3)]
    consumers = [spawn(consume) for _ in range(3)]
    for _ in range(200):
        sleep(chance.choice([0, 0, 1]))
        victim = chance.randrange(3)
        consumers[victim].kill(block=chance.random() < 0.5)
        consumers[victim] = spawn(consume)
    fibril.joinall(producers)
    for _ in range(wanted):
        if len(got) == wanted:
            break
        sleep(1)
    assert sorted(got) == list(range(wanted)), f"seed {seed}"
    fibril.killall(consumers)


def test_native_threads_hand_over_each_item_once(fresh: None) -> None:
    items = Queue(10)
    results = Queue()
    count, threads = 2000, 4

    def work() -> None:
        while (item := items.get()) is not StopIteration:
            results.put(item)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for number in range(count):
        items.put(number)
    for _ in workers:
        items.put(StopIteration)
    got = [results.get(timeout=20) for _ in range(count)]
    for worker in workers:
        worker.join(20)
    assert sorted(got) == list(range(count))
    assert results.empty()


def test_queues_leave_nothing_behind(growth: Growth) -> None:
    def once() -> None:
        items = Queue(1)
        items.put(items)
        task = spawn(items.put, object())
        sleep(0)
        items.get()
        task.get()

    growth.refuse(once)
