"""Native threads for what blocks: results come back, others run, nobody is kept waiting at exit."""

import gc
import os
import threading
import weakref
from collections.abc import Callable

import pytest

import weft
from tests.conftest import Interpreter
from weft import native
from weft.threadpool import ThreadPool
from weft.workers import Workers

pytestmark = pytest.mark.loses("the pool and its threads: those wait 5 s for more work")


def until(is_met: Callable[[], bool]) -> None:
    """Give native threads the time that they need; 20 s at most."""
    for _ in range(20_000):
        if is_met():
            return
        weft.sleep(0.001)
    pytest.fail("waited for 20 s")


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
    task = weft.spawn(ThreadPool(1).apply, gate.acquire)
    weft.sleep(0)
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

    tasks = [weft.spawn(pool.apply, work, (number,)) for number in range(10)]
    until(lambda: len(running) == 3)
    weft.sleep(0.01)
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


def test_idle_threads_end() -> None:
    workers = Workers(4, idle_s=0.001)
    done = native.allocate_lock()
    for _ in range(50):
        done.acquire()
        workers.submit(done.release)
    until(lambda: workers.thread_count == 0)
    done.acquire()
    workers.submit(done.release)
    assert done.acquire(timeout=20)


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


def test_waiting_for_a_native_thread_is_no_dead_end(fresh: None) -> None:
    pool = ThreadPool(1)
    gate = native.allocate_lock()
    gate.acquire()
    result = pool.spawn(gate.acquire)
    weft.spawn_later(0.001, gate.release)
    assert result.get() is True
    until(lambda: weft.get_hub().statistics()["expected"] == 0)


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
        import weft
        from weft import native
        from weft.threadpool import ThreadPool
        gate = native.allocate_lock()
        gate.acquire()
        pool = ThreadPool(2)
        pool.spawn(gate.acquire)
        print(pool.apply(len, ("abc",)))
        """
    assert interpreter.out(program) == "3\n"
