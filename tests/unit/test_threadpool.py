"""Native threads for what blocks: results come back, others run, nobody is kept waiting at exit."""

import gc
import os
import re
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import fibril
from fibril import native
from fibril.event import AsyncResult
from fibril.threadpool import ThreadPool, ThreadPoolExecutor
from tests.conftest import Gate, Interpreter, until

pytestmark = pytest.mark.loses("the pool and its threads: those wait 5 s for more work")


def test_apply_returns_what_the_function_returns_in_another_thread(fresh: None) -> None:
    pool = ThreadPool(2)
    assert pool.apply(divmod, (7, 2)) == (3, 1)
    assert pool.apply(int, ("ff",), {"base": 16}) == 255
    assert pool.apply(threading.get_native_id) != threading.get_native_id()


def test_an_exception_comes_to_the_caller(fresh: None) -> None:
    pool = ThreadPool(1)
    with pytest.raises(ZeroDivisionError):
        pool.apply(divmod, (1, 0))
    result = pool.spawn(divmod, 1, 0)
    with pytest.raises(ZeroDivisionError):
        result.get()
    with pytest.raises(SystemExit):
        pool.apply(exit_with, (3,))
    assert pool.apply(int) == 0


def exit_with(code: int) -> None:
    raise SystemExit(code)


def test_others_run_while_a_native_thread_blocks(fresh: None) -> None:
    gate = native.allocate_lock()
    gate.acquire()
    task = fibril.spawn(ThreadPool(1).apply, gate.acquire)
    fibril.sleep(0)
    assert not task.ready()
    gate.release()
    assert task.get() is True


def test_there_are_never_more_threads_than_maxsize(fresh: None) -> None:
    pool = ThreadPool(3)
    gate = native.allocate_lock()
    gate.acquire()
    running: list[int] = []

    def work(number: int) -> int:
        running.append(number)
        with gate:
            return number

    tasks = [fibril.spawn(pool.apply, work, (number,)) for number in range(10)]
    until(lambda: len(running) == 3)
    fibril.sleep(0.01)
    assert (len(running), pool.size, len(pool)) == (3, 3, 10)
    gate.release()
    assert [task.get() for task in tasks] == list(range(10))
    assert pool.join(20)
    assert len(pool) == 0


def test_threads_that_wait_are_used_again(fresh: None) -> None:
    pool = ThreadPool(10)
    for _ in range(20):
        assert pool.apply(int) == 0
        assert pool.join(20)
    assert pool.size <= 2


def test_map_keeps_the_order(fresh: None) -> None:
    assert ThreadPool(4).map(abs, range(-20, 0)) == list(range(20, 0, -1))


def test_apply_inside_the_pool_calls_directly(fresh: None) -> None:
    pool = ThreadPool(1)
    inner, outer = pool.apply(lambda: (pool.apply(native.get_ident), native.get_ident()))
    assert inner == outer


def test_join_gives_up_in_time(fresh: None) -> None:
    pool = ThreadPool(1)
    gate = native.allocate_lock()
    gate.acquire()
    pool.spawn(gate.acquire)
    assert not pool.join(0.001)
    gate.release()
    assert pool.join(20)


def test_a_size_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot make maxsize -1: it must not be negative"):
        ThreadPool(-1)
    with pytest.raises(TypeError, match="cannot make maxsize '3': it must be an integer"):
        ThreadPool("3")  # type: ignore[arg-type]
    pool = ThreadPool(2)
    with pytest.raises(ValueError, match="cannot make maxsize -1"):
        pool.maxsize = -1
    with pytest.raises(ValueError, match="cannot make size -1"):
        pool.size = -1
    with pytest.raises(ValueError, match="cannot have 3 threads in a pool of at most 2"):
        pool.size = 3
    assert (pool.maxsize, pool.size) == (2, 0)


def test_what_a_job_held_is_let_go(fresh: None) -> None:
    class Thing:
        pass

    pool = ThreadPool(1)
    thing = Thing()
    gone = weakref.ref(thing)
    pool.apply(id, (thing,))
    pool.join(20)
    del thing
    until(lambda: gc.collect() >= 0 and gone() is None)


def submit_to_executor(call: Callable[[], object]) -> Any:
    return ThreadPoolExecutor(1).submit(call)


def spawn_in_pool(call: Callable[[], object]) -> Any:
    return ThreadPool(1).spawn(call)


@pytest.mark.parametrize("begin", [spawn_in_pool, submit_to_executor])
@pytest.mark.parametrize("is_waited_for", [False, True])
def test_a_call_under_way_is_no_dead_end(
    fresh: None, gate: Gate, begin: Callable[..., Any], is_waited_for: bool
) -> None:
    hub = fibril.get_hub()
    result = begin(gate.pass_through)
    waiting = fibril.spawn(fibril.wait, [result] if is_waited_for else [])
    fibril.spawn_later(0.001, gate.open)
    fibril.sleep(0)
    assert hub.statistics()["expected"] == 1  # so nobody says that it looks like one
    assert hub.join()
    assert result.done()
    assert waiting.ready()
    assert hub.statistics()["expected"] == 0


def test_a_call_may_end_after_the_thread_that_spawned_it(
    fresh: None, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = ThreadPool(1)
    thread = threading.Thread(target=pool.spawn, args=(gate.pass_through,))
    thread.start()
    thread.join()
    gate.open()
    assert pool.join(20)
    assert pool.apply(int) == 0
    assert capsys.readouterr().err == ""


# From 3.12 on a fork beside other threads is warned of; from 3.15 on that is an error here.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_child_of_a_fork_has_threads_of_its_own(fresh: None) -> None:
    pool = ThreadPool(2)
    assert pool.apply(int) == 0
    if (pid := os.fork()) == 0:
        code = 1
        try:
            code = 0 if pool.apply(os.getpid) == os.getpid() else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_thread_that_blocks_does_not_keep_the_process_alive(interpreter: Interpreter) -> None:
    program = """
        import fibril
        from fibril import native
        from fibril.threadpool import ThreadPool
        gate = native.allocate_lock()
        gate.acquire()
        pool = ThreadPool(2)
        pool.spawn(gate.acquire)
        print(pool.apply(len, ("abc",)))
        """
    assert interpreter.out(program) == "3\n"


# ---- spawn, and how much is in flight ----


def test_spawn_waits_while_one_call_more_than_there_are_threads_is_unfinished(
    fresh: None, gate: Gate
) -> None:
    pool = ThreadPool(1)
    first, second = (pool.spawn(gate.pass_through, number) for number in range(2))
    assert (pool.full(), pool.free_count(), len(pool)) == (True, 0, 2)
    third = fibril.spawn(pool.spawn, gate.pass_through, 2)
    available = fibril.spawn(pool.wait_available)
    fibril.sleep(0.01)
    assert (third.ready(), available.ready(), gate.arrived) == (False, False, [0])
    gate.open()
    assert third.get().get() == 2
    assert (first.get(), second.get(), available.ready()) == (0, 1, True)
    assert pool.join(20)
    assert (pool.full(), pool.free_count(), gate.arrived) == (False, 2, [0, 1, 2])


def test_a_task_that_is_killed_while_it_waits_to_spawn_takes_no_place(
    fresh: None, gate: Gate
) -> None:
    pool = ThreadPool(1)
    results = [pool.spawn(gate.pass_through, number) for number in range(2)]
    waiting = fibril.spawn(pool.spawn, gate.pass_through, 2)
    fibril.sleep(0)
    waiting.kill()
    gate.open()
    assert [result.get() for result in results] == [0, 1]
    assert pool.join(20)
    assert (pool.free_count(), gate.arrived) == (2, [0, 1])


def test_spawn_in_a_thread_of_the_pool_does_not_wait_for_a_place(fresh: None) -> None:
    pool = ThreadPool(1)
    results = pool.apply(lambda: [pool.spawn(pow, 2, n) for n in range(5)])
    assert [result.get() for result in results] == [1, 2, 4, 8, 16]
    assert pool.join(20)
    assert pool.free_count() == 2


def test_what_a_spawned_call_raises_is_printed_and_is_the_results(
    fresh: None, capsys: pytest.CaptureFixture[str]
) -> None:
    result = ThreadPool(1).spawn(divmod, 1, 0)
    with pytest.raises(ZeroDivisionError):
        result.get()
    assert "divmod> failed with ZeroDivisionError" in capsys.readouterr().err  # before it came here


def test_what_an_applied_call_raises_is_not_printed(
    fresh: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError):
        ThreadPool(1).apply(divmod, (1, 0))
    fibril.sleep(0.01)
    assert capsys.readouterr().err == ""


def test_a_pool_tells_the_hub_it_was_given(fresh: None) -> None:
    class Told:
        def __init__(self) -> None:
            self.errors: list[Any] = []

        def call_soon_threadsafe(self, fn: Any, *args: Any) -> None:
            fn(*args)

        def handle_error(self, context: Any, typ: Any, value: Any, tb: Any) -> None:
            self.errors.append((context, typ))

    hub = Told()
    pool = ThreadPool(1, hub)
    assert pool.hub is hub
    pool.spawn(divmod, 1, 0).wait()
    assert hub.errors == [(divmod, ZeroDivisionError)]


# ---- the ways to call that a group has ----


def test_apply_async_returns_a_task(fresh: None) -> None:
    pool = ThreadPool(2)
    seen: list[int] = []
    task = pool.apply_async(pow, (2, 5), callback=seen.append)
    assert isinstance(task, fibril.Task)
    assert (task.get(), seen) == (32, [32])
    assert pool.apply_cb(int, ("7",), callback=seen.append) == 7
    assert seen == [32, 7]


def test_maps_of_every_kind(fresh: None) -> None:
    pool = ThreadPool(3)
    seen: list[list[int]] = []
    assert pool.map_cb(abs, [-1, -2], seen.append) == [1, 2]
    assert pool.map_async(abs, [-3], seen.append).get() == [3]
    assert seen == [[1, 2], [3]]
    assert list(pool.imap(pow, range(50), [2] * 50, maxsize=4)) == [n * n for n in range(50)]
    assert sorted(pool.imap_unordered(abs, range(-50, 0))) == list(range(1, 51))


def test_imap_goes_on_after_a_call_that_raised(fresh: None) -> None:
    found = ThreadPool(2).imap(int, ["1", "x", "3"])
    assert next(found) == 1
    with pytest.raises(ValueError, match="invalid literal"):
        next(found)
    assert list(found) == [3]


def test_maps_inside_the_pool_call_directly(fresh: None) -> None:
    pool = ThreadPool(1)
    assert pool.apply(pool.map, (abs, [-1, -2])) == [1, 2]
    assert sorted(pool.apply(lambda: list(pool.imap_unordered(abs, [-1, -2])))) == [1, 2]


def test_waiting_for_results_with_others(fresh: None, gate: Gate) -> None:
    pool = ThreadPool(2)
    slow, fast = pool.spawn(gate.pass_through, 1), pool.spawn(int)
    assert fibril.wait([slow, fast], count=1) == [fast]
    gate.open()
    assert set(fibril.wait([slow, fast], timeout=20)) == {slow, fast}


# ---- how many threads ----


def test_a_pool_without_threads_waits_until_it_may_have_some(fresh: None) -> None:
    pool = ThreadPool(0)
    result = pool.spawn(int)
    blocked = fibril.spawn(pool.spawn, int)
    fibril.sleep(0.01)
    assert (result.ready(), blocked.ready(), pool.size) == (False, False, 0)
    pool.maxsize = 1
    assert (result.get(), blocked.get().get(), pool.size) == (0, 0, 1)


def test_more_threads_start_when_there_may_be_more(fresh: None, gate: Gate) -> None:
    pool = ThreadPool(1)
    tasks = [fibril.spawn(pool.apply, gate.pass_through, (n,)) for n in range(4)]
    until(lambda: gate.arrived == [0])
    pool.maxsize = 3
    until(lambda: gate.arrived == [0, 1, 2])
    assert (pool.size, pool.maxsize) == (3, 3)
    gate.open()
    assert [task.get() for task in tasks] == [0, 1, 2, 3]


def test_threads_end_when_there_may_be_fewer(fresh: None, gate: Gate) -> None:
    pool = ThreadPool(4)
    results = [pool.spawn(gate.pass_through, n) for n in range(4)]
    until(lambda: len(gate.arrived) == 4)
    pool.maxsize = 1
    assert (pool.size, pool.free_count()) == (4, 0)
    gate.open()
    assert [result.get() for result in results] == [0, 1, 2, 3]
    until(lambda: pool.size == 1)
    assert (pool.apply(int), pool.free_count()) == (0, 2)
    pool.maxsize = 0
    until(lambda: pool.size == 0)


def test_the_size_is_what_it_is_set_to(fresh: None) -> None:
    pool = ThreadPool(3)
    for size in (1, 3, 1, 0, 2):
        pool.size = size
        assert pool.size == size
    pool.adjust()
    assert pool.size == 2
    assert pool.map(abs, range(10)) == list(range(10))


def test_threads_that_are_too_many_end_when_they_have_no_work(fresh: None, gate: Gate) -> None:
    pool = ThreadPool(2)
    result = pool.spawn(gate.pass_through, 1)
    until(lambda: gate.arrived == [1])
    shrinking = fibril.spawn(setattr, pool, "size", 0)
    fibril.sleep(0.01)
    assert not shrinking.ready()
    gate.open()
    shrinking.get()
    assert (pool.size, result.get()) == (0, 1)


def test_a_thread_without_work_ends_after_the_time_it_is_given(fresh: None) -> None:
    pool = ThreadPool(2, idle_task_timeout=0.001)
    for _ in range(3):
        assert pool.apply(int) == 0
        until(lambda: pool.size == 0)


def test_the_threads_of_a_pool_that_is_dropped_end(fresh: None) -> None:
    pool = ThreadPool(3)
    pool.size = 3
    threads = pool._workers._idents  # its own: those of other pools may end at any time
    until(lambda: len(threads) == 3)
    del pool
    until(lambda: not threads)


# ---- kill and join ----


def test_kill_cancels_what_has_not_begun(
    fresh: None, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    from concurrent.futures import CancelledError

    pool = ThreadPool(1)
    running = pool.spawn(gate.pass_through, 1)
    spawned = pool.spawn(gate.pass_through, 2)
    applied = fibril.spawn(pool.apply, gate.pass_through, (3,))
    blocked = fibril.spawn(pool.spawn, gate.pass_through, 4)
    until(lambda: gate.arrived == [1] and len(pool) == 3)
    pool.kill()
    with pytest.raises(CancelledError, match="was killed before it began the call"):
        spawned.get()
    with pytest.raises(CancelledError, match="was killed before it began the call"):
        applied.get()
    with pytest.raises(RuntimeError, match=r"cannot call anything in .* it was killed"):
        blocked.get()
    with pytest.raises(RuntimeError, match="Make another pool"):
        pool.apply(int)
    assert (running.ready(), len(pool)) == (False, 1)
    gate.open()
    assert pool.join(20)
    assert (running.get(), gate.arrived) == (1, [1])
    until(lambda: pool.size == 0)
    told = re.sub("<Task .*> failed", "", capsys.readouterr().err)
    assert "pass_through" not in told


def test_a_call_that_is_put_in_the_line_just_after_a_kill_is_refused(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ThreadPool(0)
    submit = pool._workers.submit

    def late(call: Any) -> None:
        pool.kill()
        submit(call)

    monkeypatch.setattr(pool._workers, "submit", late)
    with pytest.raises(RuntimeError, match="it was killed"):
        pool.spawn(int)
    assert (len(pool), pool.free_count()) == (0, 1)


def test_a_call_that_ends_before_who_made_it_goes_on_is_finished(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ThreadPool(1)
    monkeypatch.setattr(pool._workers, "submit", lambda call: call())
    assert pool.spawn(int).get() == 0
    assert (len(pool), pool.join(0)) == (0, True)


def test_a_call_has_given_its_place_back_when_it_counts_as_finished(fresh: None) -> None:
    free: list[int] = []

    class Mine(ThreadPool):
        def _forget(self, call: Any) -> None:
            free.append(self.free_count())
            super()._forget(call)

    pool = Mine(1)
    pool.spawn(int)
    assert pool.join(20)
    assert free == [2]


def test_kill_lets_threads_without_work_end(fresh: None) -> None:
    pool = ThreadPool(3)
    pool.size = 3
    pool.kill()
    pool.kill()
    until(lambda: pool.size == 0)


def test_join_in_a_call_of_the_pool_is_refused(fresh: None) -> None:
    pool = ThreadPool(1)
    with pytest.raises(RuntimeError, match="in one of its own calls, which would wait for itself"):
        pool.apply(pool.join)


def test_results_are_there_when_join_returns(fresh: None) -> None:
    pool = ThreadPool(3)
    for _ in range(100):
        results: list[AsyncResult] = [pool.spawn(int) for _ in range(3)]
        assert pool.join(20)
        assert all(result.ready() for result in results)


# ---- threads ----


def test_a_pool_serves_every_thread(fresh: None) -> None:
    pool = ThreadPool(2)
    found: list[Any] = []

    def work() -> None:
        found.append((pool.apply(int, ("5",)), pool.spawn(int).get(), pool.map(abs, [-1])))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        fibril.offload(thread.join)
    assert found == [(5, 0, [1])] * 4


def test_many_threads_hand_in_and_take_back_at_once(fresh: None) -> None:
    """Whatever is killed or in time: no call is made twice, none is forgotten, no place is lost."""
    pool = ThreadPool(3, idle_task_timeout=0.0001)
    made: list[int] = []

    def one(number: int) -> None:
        with fibril.Timeout(0.0005 * (number % 3), False):
            pool.apply(made.append, (number,))

    def work(first: int) -> None:
        for start in range(first, first + 600, 20):
            fibril.joinall([fibril.spawn(one, number) for number in range(start, start + 20)])

    threads = [threading.Thread(target=work, args=(first * 600,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        fibril.offload(thread.join)
    assert pool.join(20)
    assert len(made) == len(set(made)) > 0
    until(lambda: pool.size == 0)
    assert (pool.map(abs, range(9)), pool.free_count()) == (list(range(9)), 4)


def test_a_call_is_traced_and_profiled_as_threading_says(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def called() -> int:
        return 1

    def note(frame: Any, event: str, arg: Any) -> None:
        if frame.f_code is called.__code__:
            seen.append(event)

    monkeypatch.setattr(threading, "_trace_hook", note)
    monkeypatch.setattr(threading, "_profile_hook", note)
    pool = ThreadPool(1)
    assert pool.apply(called) == 1
    assert set(seen) == {"call", "return"}
    monkeypatch.undo()
    assert pool.apply(lambda: (sys.gettrace(), sys.getprofile())) == (None, None)


# ---- the hub's pool ----


def test_all_hubs_have_one_pool_unless_they_are_given_their_own(fresh: None) -> None:
    pool = fibril.get_hub().threadpool
    assert pool.maxsize == type(fibril.get_hub()).threadpool_size == 10
    assert isinstance(pool, type(fibril.get_hub()).threadpool_class)
    assert pool.apply(lambda: fibril.get_hub().threadpool) is pool
    own = fibril.get_hub().threadpool = ThreadPool(1)
    assert fibril.get_hub().threadpool is own
    assert pool.apply(lambda: fibril.get_hub().threadpool) is pool
    fibril.get_hub().threadpool = None
    assert fibril.get_hub().threadpool is pool


def test_the_default_pool_has_the_class_and_size_that_the_hub_says(
    interpreter: Interpreter,
) -> None:
    program = """
        import fibril
        from fibril.hub import Hub
        from fibril.threadpool import ThreadPool

        class Mine(ThreadPool):
            pass

        Hub.threadpool_class = Mine
        fibril.get_hub().threadpool_size = 3
        pool = fibril.get_hub().threadpool
        print(fibril.offload(int), type(pool), fibril.get_hub().threadpool.maxsize)
        """
    assert interpreter.out(program) == "0 <class '__main__.Mine'> 3\n"


def test_a_pool_that_lives_until_the_interpreter_ends_says_nothing(
    interpreter: Interpreter,
) -> None:
    done = interpreter.run("""
        import builtins, sys
        import fibril
        pool = builtins.pool = fibril.get_hub().threadpool
        sys.kept = dict(sys.modules)  # so modules are emptied, before the pool goes
        print(pool.apply(abs, (-1,)))
    """)
    assert (done.status, done.out, done.err) == (0, "1\n", "")
