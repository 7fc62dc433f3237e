"""Condition: told in order, no notification lost, and the lock is held after every wait."""

import random
import threading
from collections import OrderedDict
from typing import Any

import pytest

import fibril
from fibril import GreenletExit, LoopExit, Timeout, joinall, sleep, spawn
from fibril.event import Event
from fibril.lock import Condition, RLock, Semaphore
from tests.conftest import Growth, Sim


def test_who_waits_longest_is_told_first(sim: Sim) -> None:
    changed, told = Condition(), []

    def wait(name: str) -> None:
        with changed:
            assert changed.wait() is True
            told.append(name)

    tasks = [spawn(wait, name) for name in "abcd"]
    sleep(0)
    assert len(changed) == 4
    with changed:
        changed.notify()
        changed.notify(2)
    sleep(1)
    assert told == ["a", "b", "c"]
    with changed:
        changed.notify(10)
    joinall(tasks, raise_error=True)
    assert told == ["a", "b", "c", "d"]


def test_notify_all_wakes_everybody(sim: Sim) -> None:
    changed = Condition(Semaphore(1))

    def wait() -> bool:
        with changed:
            return changed.wait()

    tasks = [spawn(wait) for _ in range(5)]
    sleep(0)
    with changed:
        changed.notify_all()
    assert [task.get() for task in tasks] == [True] * 5


def test_wait_ends_with_false_in_time_and_holds_the_lock(sim: Sim) -> None:
    lock = RLock()
    changed = Condition(lock)
    with changed, changed:  # twice: all of it is given up and taken again
        assert changed.wait(timeout=1) is False
        assert lock._is_owned()
        assert len(changed) == 0
        assert changed.wait(0) is False
    assert not lock._is_owned()


def test_wait_for_waits_until_it_is_true(sim: Sim) -> None:
    changed, items = Condition(), []

    def fill() -> None:
        for number in range(3):
            sleep(1)
            with changed:
                items.append(number)
                changed.notify()

    spawn(fill)
    with changed:
        assert changed.wait_for(lambda: len(items) == 3 and items) == [0, 1, 2]
        assert changed.wait_for(lambda: len(items) > 3, timeout=5) is False
    assert sim.now() >= 8


def test_wait_for_asks_once_more_when_its_time_is_over(sim: Sim) -> None:
    changed, items = Condition(), []
    fibril.spawn_later(1, items.append, "one")  # and nobody is notified
    with changed:
        assert changed.wait_for(lambda: list(items), timeout=2) == ["one"]


@pytest.mark.parametrize("lock", [RLock, lambda: Semaphore(1)])
def test_without_the_lock_it_refuses(sim: Sim, lock: type[RLock]) -> None:
    changed = Condition(lock())
    for act in (changed.wait, changed.notify, changed.notify_all):
        with pytest.raises(RuntimeError, match="does not hold the lock"):
            act()
    assert len(changed) == 0


def test_a_notification_passes_to_the_next_when_its_receiver_is_killed(sim: Sim) -> None:
    changed, told = Condition(), []

    def wait(name: str) -> None:
        with changed:
            changed.wait()
            told.append(name)

    first, second = spawn(wait, "first"), spawn(wait, "second")
    sleep(0)
    with changed:
        changed.notify()
    first.kill(block=False)  # told, and has not run
    second.join(timeout=5)
    assert told == ["second"]
    assert first.successful()


def test_a_kill_while_the_lock_is_awaited_comes_when_it_is_held(sim: Sim) -> None:
    lock = RLock()
    changed, owned = Condition(lock), []

    def wait() -> None:
        with changed:
            try:
                changed.wait()
            finally:
                owned.append(lock._is_owned())

    task = spawn(wait)
    sleep(0)
    with changed:
        changed.notify()
        sleep(1)  # now it waits for the lock
        task.kill(block=False)
        sleep(1)
        assert not task.ready()
    task.join()
    assert (owned, task.successful()) == ([True], True)
    assert lock.acquire(blocking=False)


def test_a_timeout_while_it_waits_holds_the_lock_too(sim: Sim) -> None:
    lock = RLock()
    changed = Condition(lock)
    with changed:
        with pytest.raises(Timeout), Timeout(1):
            changed.wait()
        assert lock._is_owned()
        assert len(changed) == 0


def test_a_dead_end_is_told_though_the_lock_cannot_be_had(sim: Sim) -> None:
    lock = Semaphore(1)
    changed = Condition(lock)

    def keep() -> None:
        lock.acquire()
        with pytest.raises(GreenletExit):
            fibril.event.Event().wait()
        raise GreenletExit

    changed.acquire()
    keeper = spawn(keep)
    with pytest.raises(LoopExit):
        changed.wait(timeout=1)
    keeper.kill()


def test_another_native_thread_may_notify(fresh: None) -> None:
    changed = Condition()

    def tell() -> None:
        with changed:
            changed.notify()

    with changed:
        threading.Thread(target=tell).start()
        assert changed.wait(timeout=10) is True


@pytest.mark.parametrize("seed", range(30))
def test_no_notification_is_lost_and_nobody_is_inside_twice(sim: Sim, seed: int) -> None:
    chance = random.Random(seed)
    changed, inside, tokens, taken = Condition(), [], [0], [0]

    def take() -> None:
        with changed:
            while tokens[0] == 0:
                changed.wait(chance.choice([None, None, 1]))
                assert inside == []
            tokens[0] -= 1
            taken[0] += 1
            inside.append(1)
            try:
                sleep(chance.choice([0, 0.3]))
            finally:
                inside.pop()

    tasks = [spawn(take) for _ in range(20)]
    for _ in range(40):
        if chance.random() < 0.5:
            chance.choice(tasks).kill(block=False)
        with changed:
            tokens[0] += 1
            changed.notify()
        if chance.random() < 0.5:
            sleep(chance.choice([0, 0.5]))
    joinall(tasks, timeout=100)
    assert all(task.ready() for task in tasks)  # there was a token, and a word, for each
    assert tokens[0] + taken[0] == 40
    assert len(changed) == 0


def test_waits_leave_nothing_behind(sim: Sim, growth: Growth) -> None:
    changed = Condition()

    def use() -> None:
        with changed:
            assert changed.wait(0) is False
            assert changed.wait_for(lambda: 3) == 3

    growth.refuse(use)


def test_who_notifies_as_soon_as_the_lock_is_given_up_finds_who_waits(sim: Sim) -> None:
    class Given(Semaphore):
        """Another native thread takes it at once, and notifies."""

        def release(self) -> Any:
            super().release()
            if not told:
                told.append(self.acquire())
                changed.notify()
                super().release()

    told: list[bool] = []
    changed = Condition(Given(1))
    with changed:
        assert changed.wait(timeout=1) is True
    assert told == [True]


class Hasty(OrderedDict[Any, None]):
    """Whenever one has looked at it, another native thread takes out what is there."""

    def __len__(self) -> int:
        count = super().__len__()
        self.clear()
        return count

    def __contains__(self, key: object) -> bool:
        is_there = super().__contains__(key)
        self.clear()
        return is_there


def test_waiters_of_other_native_threads_may_leave_at_any_time(sim: Sim) -> None:
    changed = Condition()
    changed._waiters = Hasty()
    with changed:
        changed._waiters[Event()] = None
        changed.notify_all()
        assert not changed.wait(timeout=1)
