"""Workers: a line of jobs and native threads that come and go, and an allowance that changes."""

import gc

import pytest

from fibril import native
from fibril.dispatch.workers import Allowance, Workers
from fibril.event import Event
from tests.conftest import Interpreter, until

pytestmark = pytest.mark.loses("threads and what they hold: those wait 5 s for more work")


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


def test_a_job_that_is_withdrawn_never_runs_and_is_let_go() -> None:
    workers = Workers(1)
    gate = native.allocate_lock()
    gate.acquire()
    ran: list[int] = []
    jobs = [gate.acquire, lambda: ran.append(1), lambda: ran.append(2)]
    for job in jobs:
        workers.submit(job)
    until(lambda: len(workers._line) == 2)
    assert workers.withdraw(gate.acquire) is False
    assert workers.withdraw(jobs[1]) is True
    assert workers.withdraw(jobs[1]) is False
    gate.release()
    until(lambda: ran == [2])
    assert workers.withdraw(jobs[2]) is False


def test_a_thread_is_started_only_if_none_is_idle() -> None:
    workers = Workers(10)
    done = native.allocate_lock()
    for _ in range(30):
        done.acquire()
        workers.submit(done.release)
        with done:
            until(lambda: len(workers._idle) == workers.thread_count)
    assert workers.thread_count == 1


def test_without_a_thread_a_job_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    workers = Workers(2, idle_s=None)
    ran: list[int] = []
    monkeypatch.setattr(native, "start_new_thread", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        workers.submit(lambda: ran.append(1))
    assert (workers.thread_count, len(native.starting_threads)) == (0, 0)
    monkeypatch.undo()
    gate = native.allocate_lock()
    gate.acquire()
    workers.submit(gate.acquire)
    until(lambda: not workers._line)
    monkeypatch.setattr(native, "start_new_thread", refuse)
    workers.submit(lambda: ran.append(2))  # the thread that there is will come to it
    assert ran == []
    gate.release()
    until(lambda: ran == [2])
    workers.close()


def test_a_job_that_raises_costs_its_thread_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: told.append(unraisable.exc_type))
    workers = Workers(1)
    ran: list[int] = []
    for number in range(3):
        workers.submit(lambda: [][number])  # noqa: B023
        workers.submit(lambda: ran.append(1))
    until(lambda: len(ran) == 3 and len(told) == 3)
    assert told == [IndexError] * 3
    assert workers.thread_count == 1
    workers.close()
    until(lambda: workers.thread_count == 0)


def test_closed_workers_run_what_is_in_the_line_and_end() -> None:
    workers = Workers(2, idle_s=None)
    ran: list[int] = []
    for number in range(20):
        workers.submit(lambda number=number: ran.append(number))  # type: ignore[misc]
    workers.close()
    until(lambda: len(ran) == 20 and workers.thread_count == 0)
    workers.submit(lambda: ran.append(20))
    until(lambda: len(ran) == 21 and workers.thread_count == 0)


def test_a_destructor_may_hand_in_a_job_in_the_middle_of_anything() -> None:
    workers = Workers(2)
    ran: list[int] = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            workers.submit(lambda: ran.append(1))

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(500):
            Cycle()
            workers.submit(lambda: ran.append(0))
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    until(lambda: len(ran) == 1000)
    assert ran.count(1) == 500


def test_an_allowance_may_be_lowered_below_what_is_out() -> None:
    allowance = Allowance(2)
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    allowance.change(-2)
    assert allowance.is_exceeded()
    allowance.change(1)
    allowance.take_anyway()
    assert allowance.is_exceeded()
    for _ in range(2):
        allowance.give_back()
        assert not allowance.take()
    assert not allowance.is_exceeded()
    allowance.give_back()
    assert (allowance.take(), allowance.take()) == (True, False)


# ---- fork ----

FORKS = "ignore:.*multi-threaded.*:DeprecationWarning"


@pytest.mark.filterwarnings(FORKS)
def test_the_child_of_a_fork_counts_only_the_threads_it_has(interpreter: Interpreter) -> None:
    program = """
        import os, threading, time, fibril
        from fibril import native
        from fibril.threadpool import ThreadPool

        gate = native.allocate_lock()
        gate.acquire()
        begun = []

        def wait():
            begun.append(1)
            gate.acquire()

        for _ in range(2):
            native.start_new_thread(wait, ())
        pool = ThreadPool(2)
        lost = pool.spawn(wait)
        fibril.spawn(pool.apply, wait)
        while len(begun) < 4:  # a thread that is just starting may hold locks of the C library's
            fibril.sleep(0.001)
        if os.fork() == 0:
            print(native.program_thread_count(), len(pool), pool.size)
            print(pool.map(abs, [-1, -2, -3]), pool.free_count())
            try:
                lost.get()
            except fibril.LoopExit as error:
                print("LoopExit", "main fiber waits for" in str(error))
            os._exit(0)
        print(os.wait()[1], flush=True)
        os._exit(0)
        """
    out = interpreter.out(program, "-W", "ignore", "-u")
    assert out == "0 0 0\n[1, 2, 3] 3\nLoopExit True\n0\n"


@pytest.mark.filterwarnings(FORKS)
def test_a_worker_that_forks_ends_the_child_with_its_job(interpreter: Interpreter) -> None:
    program = """
        import os, time, fibril
        from fibril.threadpool import ThreadPool

        pool = ThreadPool(1)

        def fork():
            if (pid := os.fork()) == 0:
                os.write(1, b"child %d\\n" % len(pool))
                return None  # not by os._exit(): the worker is the child's only thread, and ends
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        print(pool.apply(fork), pool.spawn(fork).get(), pool.free_count())
        """
    assert interpreter.out(program, "-W", "ignore") == "child 0\nchild 0\n0 0 2\n"


# ---- the end of the process ----


@pytest.mark.parametrize(
    "job", ["gate.acquire()", "[sum(range(1000)) for _ in range(10**9)]", "fibril.sleep(1000)"]
)
def test_a_process_ends_while_jobs_run(interpreter: Interpreter, job: str) -> None:
    program = f"""
        import fibril
        from fibril import native
        from fibril.threadpool import ThreadPool
        gate = native.allocate_lock()
        gate.acquire()
        begun = []
        pool = ThreadPool(4)

        def run():
            begun.append(1)
            {job}

        for _ in range(4):
            pool.spawn(run)
        while len(begun) < 4:
            fibril.sleep(0.001)
        print("end")
        """
    assert interpreter.out(program) == "end\n"


def test_a_process_ends_while_threads_are_idle(interpreter: Interpreter) -> None:
    program = """
        import fibril
        from fibril.threadpool import ThreadPool, ThreadPoolExecutor
        pool = ThreadPool(4)
        pool.size = 4
        print(fibril.offload(int), ThreadPoolExecutor(2).submit(int).result())
        """
    for _ in range(5):
        assert interpreter.out(program) == "0 0\n"


def test_threads_are_native_however_threading_is_patched(interpreter: Interpreter) -> None:
    program = """
        from fibril import monkey
        monkey.patch_all()
        import threading, fibril
        from fibril import native
        ran = []
        fibril.spawn(ran.append, 1)
        print(fibril.offload(native.get_ident) != native.get_ident(), ran)
        print(fibril.offload(threading.get_ident) == threading.get_ident())
        """
    assert interpreter.out(program) == "True [1]\nFalse\n"


def test_waiting_is_no_dead_end_while_a_thread_starts(fresh: None) -> None:
    for _ in range(50):
        workers = Workers(1, idle_s=0.0)
        event = Event()
        workers.submit(event.set)
        assert event.wait(20)
