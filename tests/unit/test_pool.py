"""Group and Pool: members are who is alive, and never more than there is place for."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

import fibril
from fibril import GreenletExit, Task, Timeout, getcurrent, sleep, spawn, spawn_later
from fibril.event import AsyncResult, Event
from fibril.pool import Group, IMap, IMapUnordered, Pool, PoolFull
from fibril.queue import Full
from tests.conftest import Growth, Interpreter, Sim


def test_a_group_has_who_is_alive(sim: Sim) -> None:
    group = Group()
    assert not group
    early, late = group.spawn(sleep, 1), group.spawn(sleep, 2)
    assert len(group) == 2
    assert early in group
    assert set(group) == {early, late}
    sleep(1.5)
    assert set(group) == {late}
    assert group.join() is True
    assert not group
    assert sim.now() >= 2


def test_a_group_begins_with_the_tasks_it_is_given(sim: Sim) -> None:
    tasks = [spawn(sleep, n) for n in (1, 2)]
    group = Group(tasks)
    assert set(group) == set(tasks)
    assert group.join() is True


@pytest.mark.parametrize("step", ["set", "clear"])
def test_two_threads_may_add_and_leave_at_once(sim: Sim, step: str) -> None:
    class Late(Event):
        """Another native thread comes between the question and what is done about it."""

        def set(self) -> None:
            if step == "set" and not late:
                late.append(group.spawn(sleep, 5))
            super().set()

        def clear(self) -> None:
            if step == "clear" and not late:
                late.extend(group)
                group.discard(late[0])
            super().clear()

    late: list[Task] = []
    group = Group()
    group._empty = Late()
    group.spawn(sleep, 1)
    sleep(2)
    assert (len(late), len(group)) == (1, 1 if step == "set" else 0)
    assert group._empty.is_set() is (step == "clear")
    assert group.join() is True
    assert sim.now() == pytest.approx(6 if step == "set" else 2)


def test_a_member_that_ends_just_when_it_is_discarded_gives_its_place_back_once(sim: Sim) -> None:
    class Raced(set[Task]):
        """Another native thread discards a member just when it is looked for, or taken out."""

        discards: list[Task] = []  # noqa: RUF012

        def come(self, member: Any) -> None:
            if member in self.discards:
                self.discards.remove(member)
                pool.discard(member)

        def __contains__(self, member: object) -> bool:
            is_there = super().__contains__(member)
            self.come(member)
            return is_there

        def remove(self, member: Task) -> None:
            self.come(member)
            super().remove(member)

    pool = Pool(2)
    members = pool.greenlets = Raced()
    task = pool.spawn(sleep, 1)
    members.discards.append(task)
    sleep(2)
    assert (pool.free_count(), len(pool), members.discards) == (2, 0, [])


def test_join_ends_with_false_when_its_time_is_over(sim: Sim) -> None:
    group = Group()
    group.spawn(sleep, 10)
    assert group.join(timeout=1) is False
    assert len(group) == 1
    group.kill()


@pytest.mark.fibril_unseen_ok("the second time nobody asks")
def test_join_raises_what_a_member_failed_with_if_asked(sim: Sim, capsys: object) -> None:
    group = Group()
    group.spawn(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        group.join(raise_error=True)
    group.spawn(int, "x")
    assert group.join() is True


def test_a_task_that_is_discarded_goes_on_and_is_not_waited_for(sim: Sim) -> None:
    group = Group()
    task = group.spawn(sleep, 5)
    group.discard(task)
    group.discard(task)
    assert group.join() is True
    assert not task.ready()
    task.join()


def test_a_task_that_has_ended_leaves_soon_after_it_was_added(sim: Sim) -> None:
    task = spawn(int)
    task.join()
    group = Group()
    group.add(task)
    assert group.join(timeout=1) is True


def test_kill_ends_members_and_who_is_added_meanwhile(sim: Sim) -> None:
    group = Group()
    ends = []

    def stubborn() -> None:
        try:
            sleep(100)
        finally:
            if len(ends) < 3:
                ends.append(group.spawn(stubborn))
            sleep(1)

    group.spawn(stubborn)
    sleep(0)
    group.kill()
    assert not group
    assert len(ends) == 3
    assert all(task.ready() for task in ends)


def test_kill_gives_up_when_its_time_is_over(sim: Sim) -> None:
    group = Group()

    def deaf() -> None:
        try:
            sleep(100)
        except GreenletExit:
            sleep(10)

    task = group.spawn(deaf)
    sleep(0)
    group.kill(timeout=1)
    assert not task.ready()
    assert task in group
    group.kill()
    assert task.ready()
    assert not group


def test_kill_without_waiting_only_tells(sim: Sim) -> None:
    group = Group()
    task = group.spawn(sleep, 100)
    group.kill(block=False)
    assert task in group
    assert group.join(timeout=1) is True


def test_kill_does_not_swallow_another_timeout(sim: Sim) -> None:
    group = Group()

    def deaf() -> None:
        try:
            sleep(100)
        except GreenletExit:
            sleep(10)

    group.spawn(deaf)
    sleep(0)
    with pytest.raises(Timeout), Timeout(1):
        group.kill(timeout=5)
    group.kill()


def test_killone_tells_a_member_once(sim: Sim) -> None:
    struck: list[BaseException] = []

    def survive() -> None:
        while True:
            try:
                sleep(1000)
            except GreenletExit as error:
                struck.append(error)

    group = Group()
    task = group.spawn(survive)
    sleep(0)
    group.killone(task, block=False)
    group.killone(task)  # it has been told, and need not end
    sleep(1)
    assert (len(struck), task.dead) == (1, False)


def test_killone_kills_a_member_only(sim: Sim) -> None:
    group = Group()
    mine, other = group.spawn(sleep, 100), spawn(sleep, 1)
    group.killone(other)
    assert not other.dead
    group.killone(mine)
    assert mine.ready()
    assert mine.successful()
    other.join()
    assert other.value is None


def test_bare_fibers_are_killed_and_let_go(sim: Sim) -> None:
    struck = []

    def work() -> None:
        try:
            main.switch()
        except GreenletExit:
            struck.append(getcurrent())
            raise

    main = getcurrent()
    fiber = fibril.Fiber(work, fibril.get_hub())
    group = Group()
    group.add(fiber)  # type: ignore[arg-type]  # gevent takes them
    fiber.switch()
    group.kill()
    sleep(0)
    assert struck == [fiber]
    assert not group


def test_a_pool_never_has_more_members_than_places(sim: Sim) -> None:
    pool = Pool(3)
    running, peak = 0, 0

    def work() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        sleep(1)
        running -= 1

    for _ in range(10):
        pool.spawn(work)
    assert pool.join() is True
    assert (peak, running, sim.now() >= 4) == (3, 0, True)
    assert pool.free_count() == 3


def test_a_full_pool_refuses_who_does_not_wait(sim: Sim) -> None:
    pool = Pool(1)
    pool.spawn(sleep, 5)
    assert pool.full()
    with pytest.raises(PoolFull, match="all places are taken"):
        pool.add(Task(int), blocking=False)
    with pytest.raises(Full):
        pool.start(Task(int), timeout=1)
    assert pool.wait_available(timeout=1) == 0
    assert pool.wait_available() == 1
    assert not pool.full()
    assert pool.free_count() == 1


def test_pools_without_limit_and_without_place(sim: Sim) -> None:
    endless = Pool()
    assert endless.free_count() == 1
    assert endless.wait_available() == 1
    assert not endless.full()
    tasks = [endless.spawn(sleep, 1) for _ in range(50)]
    assert len(endless) == 50
    assert endless.join()
    assert all(task.ready() for task in tasks)
    nothing = Pool(0)
    assert nothing.full()
    with pytest.raises(PoolFull):
        nothing.add(Task(int), timeout=1)
    with pytest.raises(ValueError, match="must not be negative"):
        Pool(-1)


def test_adding_a_member_again_takes_no_second_place(sim: Sim) -> None:
    pool = Pool(2)
    task = pool.spawn(sleep, 1)
    pool.add(task)
    assert pool.free_count() == 1
    pool.join()
    pool.discard(task)
    assert pool.free_count() == 2
    assert pool.wait_available() == 2


def test_places_may_be_added_and_taken_away_as_celery_does(sim: Sim) -> None:
    pool = Pool(1)
    pool.spawn(sleep, 10)
    pool.size = 2
    pool._semaphore.release()
    assert pool.free_count() == pool._semaphore.counter == 1
    pool.spawn(sleep, 1)
    waiting = spawn(pool.spawn, sleep, 1)
    pool.size = 1
    pool._semaphore.counter -= 1
    sleep(2)
    assert (len(pool), pool.free_count(), waiting.ready()) == (1, 0, False)
    sleep(8.5)
    assert waiting.ready()
    assert pool.join() is True
    assert (pool.free_count(), pool.size) == (1, 1)


def test_a_pool_makes_tasks_of_the_given_class(sim: Sim) -> None:
    class Mine(Task):
        pass

    assert type(Pool(1, Mine).spawn(int)) is Mine
    assert type(Pool(1).spawn(int)) is Task


def test_apply_runs_in_a_member_and_in_a_member_at_once(sim: Sim) -> None:
    pool = Pool(1)

    def inner() -> bool:
        return getcurrent() in pool

    def outer() -> bool:
        return bool(pool.apply(inner))  # the only place is ours: waiting would be for ever

    assert pool.apply(outer) is True
    assert pool.apply(divmod, (7, 2)) == (3, 1)
    assert pool.apply(dict, kwds={"a": 1}) == {"a": 1}


def test_apply_async_waits_for_a_place_in_a_task_of_its_own(sim: Sim) -> None:
    pool = Pool(1)
    got: list[int] = []
    first = pool.apply_async(abs, (-1,), callback=got.append)
    second = pool.apply_async(abs, (-2,), callback=got.append)
    assert first in pool
    assert second not in pool
    assert fibril.joinall([first, second]) == [first, second]
    sleep(0)
    sleep(0)
    assert sorted(got) == [1, 2]
    assert pool.apply_cb(abs, (-3,), callback=got.append) == 3
    sleep(0)
    assert sorted(got) == [1, 2, 3]


def test_no_callback_after_a_failure(sim: Sim, capsys: object) -> None:
    got: list[int] = []
    task = Pool(1).apply_async(int, ("x",), callback=got.append)
    task.join()
    sleep(1)
    assert not task.successful()
    assert got == []


def _slow_at_first(number: int) -> int:
    sleep(10 - number)
    return number


def test_map_keeps_the_order_and_imap_unordered_does_not(sim: Sim) -> None:
    pool = Pool(5)
    numbers = list(range(5))
    assert pool.map(_slow_at_first, numbers) == numbers
    assert list(pool.imap(_slow_at_first, numbers)) == numbers
    assert list(pool.imap_unordered(_slow_at_first, numbers)) == numbers[::-1]
    assert pool.map(abs, []) == []
    assert list(pool.imap_unordered(abs, [])) == []
    assert list(Group().imap(pow, [2, 3], [3, 2], maxsize=1)) == [8, 9]
    task = pool.map_async(abs, [-1], callback=numbers.extend)
    assert task.get() == [1]
    assert numbers[-1] == 1


def test_an_iteration_over_results_may_be_made_without_a_pool(sim: Sim) -> None:
    numbers = range(5)
    assert list(IMap(_slow_at_first, numbers, spawn)) == list(numbers)
    assert list(IMapUnordered(_slow_at_first, numbers, spawn, maxsize=5)) == list(numbers)[::-1]
    assert list(IMap(len, [(1, 2)], spawn)) == [2]  # each item is one argument
    pool = Pool(2)
    assert isinstance(pool.imap(abs, numbers), IMap)
    assert type(pool.imap_unordered(abs, numbers)) is IMapUnordered
    with pytest.raises(TypeError):
        IMap(abs, 7, spawn)  # type: ignore[arg-type]


def test_an_iteration_over_results_takes_whatever_can_be_waited_for(sim: Sim) -> None:
    def later(fn: Any, value: int) -> AsyncResult:
        result = AsyncResult()
        spawn_later(3 - value, result.set, fn(value))
        return result

    assert list(IMap(abs, [0, -1, 2], later)) == [0, 1, 2]
    assert list(IMapUnordered(abs, [0, 1, 2], later)) == [2, 1, 0]


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_a_failed_call_raises_at_its_turn_and_the_rest_follows(
    sim: Sim, name: str, capsys: object
) -> None:
    results = getattr(Pool(1), name)(int, ["1", "x", "3"])
    assert next(results) == 1
    with pytest.raises(ValueError, match="invalid literal"):
        next(results)
    assert next(results) == 3
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(results)


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_an_iterable_that_fails_raises_after_what_it_gave(sim: Sim, name: str) -> None:
    def items() -> Iterator[int]:
        yield -1
        raise KeyError("no more")

    results = getattr(Pool(2), name)(abs, items())
    assert next(results) == 1
    with pytest.raises(KeyError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_maxsize_bounds_what_is_started_and_not_taken(sim: Sim, name: str) -> None:
    started: list[int] = []
    results = getattr(Pool(10), name)(started.append, range(20), maxsize=3)
    for taken in range(20):
        sleep(1)
        assert len(started) == min(taken + 3, 20)
        assert next(results) is None
    assert list(results) == []


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_an_item_is_asked_for_when_there_is_room_for_it(sim: Sim, name: str) -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(3):
            asked.append(number)
            yield number

    results = getattr(Pool(3), name)(abs, items(), maxsize=1)
    sleep(1)
    assert asked == [0]
    assert next(results) == 0
    sleep(1)
    assert asked == [0, 1]


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_a_next_that_is_killed_loses_no_result(sim: Sim, name: str) -> None:
    results = getattr(Pool(2), name)(_slow_at_first, [8, 7])
    for _ in range(3):
        impatient = spawn(next, results)
        sleep(0.1)
        impatient.kill()
    assert sorted(results) == [7, 8]


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_several_may_take_results(sim: Sim, name: str) -> None:
    results = getattr(Pool(3), name)(_slow_at_first, range(9))
    got: list[int] = []
    fibril.joinall([spawn(lambda: got.extend(results)) for _ in range(3)], raise_error=True)
    assert sorted(got) == list(range(9))


@pytest.mark.parametrize("seed", range(20))
def test_places_come_back_whatever_is_killed(sim: Sim, seed: int) -> None:
    chance = random.Random(seed)
    pool = Pool(3)
    peak = 0

    def work(seconds: float) -> None:
        nonlocal peak
        peak = max(peak, len(pool))
        sleep(seconds)

    def add() -> None:
        with Timeout(chance.randrange(3), False):
            pool.spawn(work, chance.randrange(3))

    adders = [spawn(add) for _ in range(30)]
    for _ in range(60):
        victims = [*adders, *pool]
        chance.choice(victims).kill(block=chance.random() < 0.3)
        if chance.random() < 0.5:
            sleep(chance.choice([0, 0.5]))
    fibril.joinall(adders)
    assert pool.join() is True
    assert 0 < peak <= 3
    assert pool.free_count() == pool.wait_available() == 3


def test_pools_leave_nothing_behind(sim: Sim, growth: Growth) -> None:
    def use() -> None:
        pool = Pool(2)
        assert pool.map(abs, [-1, -2, -3]) == [1, 2, 3]
        results = pool.imap_unordered(abs, range(5), maxsize=1)
        assert next(results) == 0  # and the rest is dropped
        pool.spawn(sleep, 100)
        pool.kill()

    growth.refuse(use)


def test_in_the_child_of_a_fork_the_places_of_who_stayed_behind_are_free(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import os, fibril
        from fibril.pool import Group, Pool
        pool, group = Pool(2), Group()
        def fork():
            child = os.fork()
            if child:
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(pool))
                return
            assert set(pool) == {fibril.getcurrent()} and pool.free_count() == 1 and not group
            assert pool.spawn(int).get() == 0
            os._exit(7)
        pool.spawn(fibril.sleep, 0.01)
        group.spawn(fibril.sleep, 0.01)
        pool.spawn(fork)
        pool.join()
        group.join()
    """)
    assert out == "7 2\n"
