"""Semaphore and RLock: never more holders than permits, served in order, nothing lost by a kill."""

import random
import threading
from typing import Any

import pytest

import fibril
from fibril import sleep, spawn
from fibril.lock import BoundedSemaphore, DummySemaphore, RLock, Semaphore
from fibril.thread import LockType
from tests.conftest import Sim


def test_permits_go_out_and_come_back(sim: Sim) -> None:
    permits = Semaphore(2)
    assert permits.acquire() is True
    assert permits.acquire() is True
    assert permits.locked()
    assert permits.acquire(blocking=False) is False
    assert permits.release() == 1
    assert permits.counter == 1


def test_who_waits_is_served_in_order_and_cannot_be_overtaken(sim: Sim) -> None:
    permits = Semaphore(0)
    served = []

    def take(name: str) -> None:
        permits.acquire()
        served.append(name)

    tasks = [spawn(take, name) for name in "abc"]
    sleep(0)
    permits.release()
    assert permits.acquire(blocking=False) is False  # it is a's already
    permits.release()
    permits.release()
    fibril.joinall(tasks)
    assert served == ["a", "b", "c"]


def test_waiting_ends_with_the_timeout(sim: Sim) -> None:
    began = sim.now()
    assert Semaphore(0).acquire(timeout=5) is False
    assert sim.now() - began == pytest.approx(5)


def test_a_permit_handed_to_a_fiber_that_is_killed_goes_to_the_next(sim: Sim) -> None:
    permits = Semaphore(0)
    victim, heir = spawn(permits.acquire), spawn(permits.acquire, timeout=5)
    sleep(0)
    permits.release()
    victim.kill(block=False)
    assert heir.get() is True
    assert permits.counter == 0


def test_a_permit_handed_to_a_fiber_that_is_killed_comes_back(sim: Sim) -> None:
    permits = Semaphore(0)
    victim = spawn(permits.acquire)
    sleep(0)
    permits.release()
    victim.kill()
    assert permits.counter == 1


def test_wait_sees_a_free_permit_and_takes_none(sim: Sim) -> None:
    permits = Semaphore(0)
    watcher = spawn(permits.wait)
    sleep(0)
    permits.release()
    assert watcher.get() == 1
    assert permits.counter == 1
    assert Semaphore(0).wait(timeout=1) == 0


def test_wrong_values_are_refused(sim: Sim) -> None:
    with pytest.raises(ValueError, match="must be >= 0, not -1"):
        Semaphore(-1)
    with pytest.raises(TypeError, match=r"use acquire\(blocking=True, timeout=None\)"):
        Semaphore().acquire(1, 2, 3)
    with pytest.raises(TypeError, match="a time must be a number of seconds"):
        Semaphore(0).acquire(timeout="soon")


def test_a_bounded_semaphore_refuses_a_permit_too_many(sim: Sim) -> None:
    permits = BoundedSemaphore(1)
    with permits:
        assert permits.locked()
    with pytest.raises(ValueError, match="too many times"):
        permits.release()


def test_a_dummy_semaphore_never_waits(sim: Sim) -> None:
    with DummySemaphore(3) as has_permit:
        assert has_permit
    dummy = DummySemaphore()
    assert not dummy.locked()
    assert dummy.wait(timeout=1) == 1
    assert fibril.wait([dummy, Semaphore(0)], count=1) == [dummy]


def test_an_rlock_may_be_taken_again_by_its_owner_only(sim: Sim) -> None:
    lock = RLock()
    with lock, lock:
        other = spawn(lock.acquire, timeout=1)
        assert other.get() is False
    assert not lock.locked()
    assert spawn(lock.acquire).get() is True


def test_an_rlock_is_released_by_its_owner_only(sim: Sim) -> None:
    lock = RLock()
    with pytest.raises(RuntimeError, match="un-acquired"):
        lock.release()
    spawn(lock.acquire).join()
    with pytest.raises(RuntimeError, match="owns: release it there"):
        lock.release()


def test_an_rlock_handed_to_a_fiber_that_is_killed_goes_on(sim: Sim) -> None:
    lock = RLock()
    lock.acquire()
    victim, heir = spawn(lock.acquire), spawn(lock.acquire, timeout=5)
    sleep(0)
    lock.release()
    victim.kill(block=False)
    assert heir.get() is True


def test_a_condition_of_the_standard_library_works_on_an_rlock(sim: Sim) -> None:
    lock = RLock()
    with lock, lock:
        saved = lock._release_save()
        assert not lock.locked()
        lock._acquire_restore(saved)
        assert lock._is_owned()
    assert not lock.locked()


@pytest.mark.parametrize("seed", range(20))
def test_never_more_holders_than_permits_whoever_is_killed(sim: Sim, seed: int) -> None:
    chance = random.Random(seed)
    size = chance.choice([1, 2, 3])
    permits = Semaphore(size)
    holders = 0

    def work() -> None:
        nonlocal holders
        while True:
            if not permits.acquire(timeout=chance.choice([None, 0, 1, 2])):
                continue
            holders += 1
            try:
                assert holders <= size, f"seed {seed}"
                sleep(chance.choice([0, 1]))
            finally:
                holders -= 1
                permits.release()

    tasks = [spawn(work) for _ in range(6)]
    for _ in range(200):
        sleep(chance.choice([0, 0, 1]))
        victim = chance.randrange(6)
        tasks[victim].kill(block=chance.random() < 0.5)
        tasks[victim] = spawn(work)
    assert not [task.exception for task in tasks if task.exception]
    fibril.killall(tasks)
    assert holders == 0
    assert permits.counter == size, f"seed {seed}"


def test_native_threads_exclude_each_other(fresh: None) -> None:
    lock = Semaphore(1)
    total = 0

    def work() -> None:
        nonlocal total
        for _ in range(500):
            with lock:
                seen = total
                sleep(0)
                total = seen + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(25)
    assert total == 2000


def test_a_semaphore_tells_its_links_when_a_permit_stays_free(sim: Sim) -> None:
    permits, told = Semaphore(0), []
    permits.rawlink(told.append)
    taker = spawn(permits.acquire)
    sleep(0)
    permits.release()  # it is the taker's
    taker.join()
    sleep(0)
    assert told == []
    permits.release()
    sleep(0)
    assert told == [permits]
    permits.rawlink(told.append)  # a permit is free
    sleep(0)
    assert told == [permits, permits]
    permits.acquire()
    permits.rawlink(told.append)
    permits.unlink(told.append)
    permits.release()
    sleep(0)
    assert told == [permits, permits]


class Counted:
    """Counts what goes through acquire() and release(), as user classes do."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []

    def acquire(self, *args: Any, **kwargs: Any) -> Any:
        self.steps.append("acquire")
        return super().acquire(*args, **kwargs)  # type: ignore[misc]

    def release(self) -> Any:
        self.steps.append("release")
        return super().release()  # type: ignore[misc]


@pytest.mark.parametrize("base", [Semaphore, BoundedSemaphore])
def test_a_with_block_goes_through_a_subclass_s_own_methods(sim: Sim, base: type[Any]) -> None:
    lock = type("Lock", (Counted, base), {})()
    with lock:
        assert lock.locked()
    assert not lock.locked()
    assert lock.steps == ["acquire", "release"]


@pytest.mark.parametrize("base", [Semaphore, BoundedSemaphore])
def test_what_a_subclass_raises_leaves_the_with_block(sim: Sim, base: type[Any]) -> None:
    def refuse(self: Any) -> None:
        raise LookupError("not now")

    lock = type("Lock", (base,), {"release": refuse})()
    with pytest.raises(LookupError, match="not now"), lock:
        pass
    closed = type("Lock", (base,), {"acquire": refuse})()
    with pytest.raises(LookupError, match="not now"), closed:
        pytest.fail("went in")


def test_a_subclass_says_what_a_permit_too_many_raises(sim: Sim) -> None:
    class Mine(BoundedSemaphore):
        _OVER_RELEASE_ERROR = KeyError

    with pytest.raises(KeyError, match="too many times"):
        Mine().release()


def test_a_bounded_semaphore_counts_from_its_value(sim: Sim) -> None:
    permits = BoundedSemaphore(2)
    assert [permits.acquire(), permits.acquire(timeout=1)] == [True, True]
    assert permits.acquire(timeout=1) is False
    assert [permits.release(), permits.release()] == [1, 2]
    with pytest.raises(ValueError, match="too many times"):
        permits.release()
    with pytest.raises(ValueError, match="must be >= 0"):
        BoundedSemaphore(-1)
    assert BoundedSemaphore(0).acquire(False) is False


def test_a_bounded_semaphore_without_its_init_has_one_permit(sim: Sim) -> None:
    permits = BoundedSemaphore.__new__(BoundedSemaphore)
    with permits:
        assert permits.counter == 0
    with pytest.raises(ValueError, match="too many times"):
        permits.release()


@pytest.mark.parametrize("base", [BoundedSemaphore, LockType])
def test_a_with_block_whose_permit_was_given_back_inside_refuses(sim: Sim, base: type[Any]) -> None:
    lock = base()
    with pytest.raises((ValueError, RuntimeError), match=r"too many times|unlocked lock"), lock:
        lock.release()
