"""ThreadPoolExecutor: the standard library's executor and futures, on native threads."""

import concurrent.futures
import threading
import weakref
from concurrent.futures import CancelledError
from concurrent.futures.thread import BrokenThreadPool
from typing import Any

import pytest

import fibril
from fibril import native
from fibril.threadpool import ThreadPoolExecutor
from tests.conftest import Gate, Growth, Interpreter, until

pytestmark = pytest.mark.loses("threads, which end a moment after the test")


def test_it_is_the_standard_librarys(fresh: None) -> None:
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="x") as executor:
        assert isinstance(executor, concurrent.futures.ThreadPoolExecutor)
        future = executor.submit(divmod, 7, 2)
        assert isinstance(future, concurrent.futures.Future)
        assert (future.result(), future.exception(), future.done()) == ((3, 1), None, True)
        assert list(executor.map(pow, [2, 3], [3, 2])) == [8, 9]
        assert executor.submit(native.get_ident).result() != native.get_ident()
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        ThreadPoolExecutor(0)
    with pytest.raises(TypeError, match="initializer must be a callable"):
        ThreadPoolExecutor(initializer=3)  # type: ignore[arg-type]


def test_a_future_raises_what_the_call_raised(fresh: None) -> None:
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(divmod, 1, 0)
        assert isinstance(future.exception(), ZeroDivisionError)
        with pytest.raises(ZeroDivisionError):
            future.result()


def test_waiting_for_a_result_lets_others_run_and_ends_in_time(fresh: None, gate: Gate) -> None:
    executor = ThreadPoolExecutor(1)
    future = executor.submit(gate.pass_through, 5)
    until(lambda: gate.arrived == [5])
    ran: list[int] = []
    fibril.spawn(ran.append, 1)
    for wait in (future.result, future.exception):
        with pytest.raises(TimeoutError):
            wait(0.001)
    assert ran == [1]
    assert future.running()
    fibril.spawn_later(0.001, gate.open)
    assert future.result(20) == 5
    executor.shutdown()


def test_what_has_not_begun_can_be_cancelled(fresh: None, gate: Gate) -> None:
    executor = ThreadPoolExecutor(1)
    running = executor.submit(gate.pass_through, 1)
    until(lambda: gate.arrived == [1])
    waiting = executor.submit(gate.pass_through, 2)
    waiter = fibril.spawn(waiting.result)
    several = fibril.spawn(fibril.wait, [waiting, running], count=1)
    fibril.sleep(0)
    assert (running.cancel(), waiting.cancel(), waiting.cancel()) == (False, True, True)
    assert (waiting.cancelled(), waiting.done(), running.done()) == (True, True, False)
    assert several.get() == [waiting]
    with pytest.raises(CancelledError):
        waiter.get()
    assert concurrent.futures.wait([waiting]).done == {waiting}
    gate.open()
    executor.shutdown()
    assert gate.arrived == [1]


def test_links_and_fibril_wait(fresh: None, gate: Gate) -> None:
    with ThreadPoolExecutor(2) as executor:
        slow, fast = executor.submit(gate.pass_through, 1), executor.submit(int)
        told: list[Any] = []
        slow.rawlink(told.append)
        slow.rawlink(told.extend)
        slow.unlink(told.extend)
        slow.unlink(print)
        with fibril.iwait([slow, fast], timeout=20) as ready:
            assert next(ready) is fast
            gate.open()
            assert next(ready) is slow
        fast.rawlink(told.append)
        fibril.sleep(0)
        assert told == [slow, fast]


def test_done_callbacks_are_called_in_the_native_thread(fresh: None, gate: Gate) -> None:
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(gate.pass_through, 1)
        called: list[Any] = []
        future.add_done_callback(lambda done: called.append((done, native.get_ident())))
        gate.open()
    assert [done for done, _ in called] == [future]
    assert called[0][1] != native.get_ident()
    future.add_done_callback(called.append)
    assert called[1] is future


def test_the_standard_librarys_waits_take_the_futures(fresh: None) -> None:
    with ThreadPoolExecutor(3) as executor:
        for _ in range(50):
            futures = [executor.submit(abs, number) for number in range(6)]
            assert concurrent.futures.wait(futures, 20).done == set(futures)
            futures = [executor.submit(abs, number) for number in range(6)]
            assert set(concurrent.futures.as_completed(futures, 20)) == set(futures)


def test_shutdown_waits_for_calls_and_threads_and_lets_others_run(fresh: None, gate: Gate) -> None:
    executor = ThreadPoolExecutor(2)
    futures = [executor.submit(gate.pass_through, number) for number in range(5)]
    until(lambda: len(gate.arrived) == 2)
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(int)
    waiting = fibril.spawn(executor.shutdown)
    fibril.sleep(0.001)
    assert not waiting.ready()
    gate.open()
    waiting.get()
    assert [future.result(0) for future in futures] == list(range(5))
    assert executor._pool.size == 0
    executor.shutdown()


def test_shutdown_may_cancel_what_has_not_begun(fresh: None, gate: Gate) -> None:
    executor = ThreadPoolExecutor(1)
    futures = [executor.submit(gate.pass_through, number) for number in range(5)]
    until(lambda: len(gate.arrived) == 1)
    everything = fibril.spawn(fibril.wait, futures)
    fibril.sleep(0)
    executor.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in futures] == [False, True, True, True, True]
    gate.open()
    assert len(everything.get()) == 5
    assert concurrent.futures.wait(futures, 20).not_done == set()
    assert gate.arrived == [0]


def test_shutdown_in_its_own_call_is_refused(fresh: None) -> None:
    executor = ThreadPoolExecutor(1)
    with pytest.raises(RuntimeError, match="in one of its own calls, which would wait for itself"):
        executor.submit(executor.shutdown).result()
    executor.shutdown()


def test_each_thread_calls_the_initializer_first(fresh: None, gate: Gate) -> None:
    local, begun = threading.local(), []

    def begin(value: int) -> None:
        local.value = value
        begun.append(native.get_ident())

    def work() -> Any:
        gate.pass_through()
        return local.value

    with ThreadPoolExecutor(2, initializer=begin, initargs=(7,)) as executor:
        futures = [executor.submit(work) for _ in range(6)]
        until(lambda: len(gate.arrived) == 2)
        gate.open()
        assert [future.result() for future in futures] == [7] * 6
    assert len(begun) == len(set(begun)) == 2


def test_an_initializer_that_fails_breaks_the_executor(
    fresh: None, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    def begin() -> None:
        gate.pass_through()
        raise ZeroDivisionError

    executor = ThreadPoolExecutor(1, initializer=begin)
    futures = [executor.submit(int) for _ in range(3)]
    gate.open()
    for future in futures:
        with pytest.raises(BrokenThreadPool, match="initializer failed"):
            future.result()
    with pytest.raises(BrokenThreadPool, match="initializer failed"):
        executor.submit(int)
    assert "Exception in initializer" in caplog.text
    executor.shutdown()


def test_a_call_that_is_handed_in_just_when_the_initializer_fails_is_broken_too(
    fresh: None, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[int] = []
    late: list[Any] = []

    def begin() -> None:
        begun.append(1)
        raise ZeroDivisionError

    class Mine(ThreadPoolExecutor):
        def _refuse_if_broken(self) -> None:
            """It was not, when it was asked."""

        def _fail_all(self, why: str) -> None:
            super()._fail_all(why)
            late.append(self.submit(int))

    executor = Mine(1, initializer=begin)
    first = executor.submit(int)
    until(lambda: late)
    for future in (first, late[0]):
        with pytest.raises(BrokenThreadPool, match="initializer failed"):
            future.result()
    assert begun == [1]
    assert "Exception in initializer" in caplog.text
    executor.shutdown()


def test_calls_leave_nothing_behind(fresh: None, growth: Growth) -> None:
    executor = ThreadPoolExecutor(1)

    def call() -> None:
        executor.submit(int).result()
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 1, 0).result()
        executor._pool.join()

    growth.refuse(call, times=50)
    executor.shutdown()


def test_what_a_call_held_is_let_go(fresh: None) -> None:
    class Thing:
        pass

    executor = ThreadPoolExecutor(1)
    thing = Thing()
    gone = weakref.ref(thing)
    future = executor.submit(id, thing)
    future.result()
    del thing
    until(lambda: gone() is None)
    executor.shutdown()


PATCHED = """
    from fibril import monkey
    monkey.patch_all()
    import concurrent.futures, threading, time, fibril
    from concurrent.futures import as_completed
    from fibril import native
    from fibril.threadpool import ThreadPoolExecutor
    executor = ThreadPoolExecutor(4)
    """


def test_the_standard_librarys_waits_let_others_run_when_patched(interpreter: Interpreter) -> None:
    program = f"""{PATCHED}
    gate = native.allocate_lock()
    gate.acquire()

    def wait_at_gate(number):
        with gate:
            return number

    futures = [executor.submit(wait_at_gate, number) for number in range(8)]
    assert all(isinstance(each, concurrent.futures.Future) for each in futures)
    fibril.spawn_later(0.01, gate.release)       # runs only if the wait lets it
    done, not_done = concurrent.futures.wait(futures, 20)
    print(len(done), len(not_done), sorted(each.result() for each in as_completed(futures)))
    print(executor.submit(native.get_ident).result() != native.get_ident())
    """
    out = interpreter.out(program)
    assert out == "8 0 [0, 1, 2, 3, 4, 5, 6, 7]\nTrue\n"


def test_no_wake_up_is_lost_when_patched(interpreter: Interpreter) -> None:
    program = f"""{PATCHED}
    def rounds(count):
        for _ in range(count):
            futures = [executor.submit(abs, number) for number in range(5)]
            assert sorted(each.result() for each in as_completed(futures, 20)) == [0, 1, 2, 3, 4]
            futures = [executor.submit(abs, number) for number in range(5)]
            assert not concurrent.futures.wait(futures, 20).not_done
            assert executor.submit(abs, 1).result(20) == 1

    tasks = [fibril.spawn(rounds, 50) for _ in range(4)]
    fibril.joinall(tasks, raise_error=True)
    executor.shutdown()
    print("done", executor._pool.size)
    """
    assert interpreter.out(program) == "done 0\n"
