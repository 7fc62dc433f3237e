"""Workers: a line of jobs and native threads that come and go, and an allowance that changes."""

import gc
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest

from fibril import native
from fibril.dispatch.workers import Allowance, Workers
from fibril.event import Event
from fibril.lock import Semaphore
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


def test_a_permit_may_come_back_while_one_is_taken_anyway() -> None:
    allowance = Allowance(1)
    assert allowance.take()

    class Late(Semaphore):
        """When it is found empty another native thread gives a permit back, just then."""

        def acquire(self, *args: Any, **kwargs: Any) -> bool:
            has_one = super().acquire(*args, **kwargs)
            if not has_one:
                allowance.give_back()
            return has_one

    allowance.free = Late(0)
    allowance.take_anyway()
    allowance.free = Semaphore(allowance.free.counter)
    assert allowance.free.counter - len(allowance._owed) == 0  # one is out, as there may be
    allowance.give_back()
    assert not allowance.is_exceeded()
    assert (allowance.take(), allowance.take()) == (True, False)


# ---- what comes between two steps of another thread ----


class Moments(dict[Any, None]):
    """The idle threads of some workers; `step` is called once, at a moment of a thread's wait."""

    def __init__(self, moment: str, step: Callable[[], object]) -> None:
        super().__init__()
        self.moment = moment
        self.step: Callable[[], object] | None = step

    def come(self, moment: str) -> None:
        step = self.step
        if moment == self.moment and step is not None:
            self.step = None
            step()

    def __setitem__(self, worker: Any, none: None) -> None:
        self.come("before it is listed")
        super().__setitem__(worker, none)
        self.come("when it is listed")

    def pop(self, worker: Any, *default: Any) -> Any:
        self.come("when its time is over")
        return super().pop(worker, *default)


@pytest.mark.parametrize(
    ("moment", "idle_s"),
    [("before it is listed", None), ("when it is listed", None), ("when its time is over", 0.001)],
)
def test_a_job_that_comes_while_its_only_thread_falls_asleep_is_run(
    moment: str, idle_s: float | None
) -> None:
    workers = Workers(1, idle_s)
    ran: list[str] = []
    was_idle: list[bool] = []

    def late() -> None:
        was_idle.append(native.get_ident() in native.idle_threads)
        ran.append("late")

    workers._idle = Moments(moment, lambda: workers.submit(late))
    workers.submit(lambda: ran.append("first"))
    until(lambda: ran == ["first", "late"])
    assert was_idle == [False]
    workers.close()
    until(lambda: workers.thread_count == 0)


def test_the_ring_for_a_thread_whose_time_was_over_does_not_end_its_next_wait() -> None:
    workers = Workers(1, idle_s=0.001)
    was_idle: list[bool] = []

    def ask() -> None:
        was_idle.append(native.get_ident() in native.idle_threads)

    class Line(OrderedDict[Any, None]):
        looks = 0

        def popitem(self, last: bool = True) -> tuple[Any, None]:
            self.looks += 1
            if self.looks == 5:  # after that wait, if the ring ended it: there is a job, just now
                self[ask] = None
            return super().popitem(last)

    workers._line = Line()
    workers._idle = Moments("when its time is over", lambda: workers.submit(int))
    workers.submit(list)
    until(lambda: workers._idle.step is None and workers.thread_count == 0)
    workers.submit(int)  # the fifth look, if there was none
    until(lambda: was_idle)
    assert was_idle == [False]


def test_a_thread_that_falls_asleep_while_they_are_closed_ends() -> None:
    workers = Workers(1, idle_s=None)
    workers._idle = Moments("before it is listed", workers.close)
    workers.submit(int)
    until(lambda: workers.thread_count == 0)


def test_a_job_that_comes_while_its_only_thread_leaves_is_run() -> None:
    workers = Workers(1, idle_s=0.001)
    ran: list[str] = []

    class Places(Allowance):
        def give_back(self) -> None:
            if ran == ["first"]:
                workers.submit(lambda: ran.append("late"))
            super().give_back()

    workers._places = Places(1)
    workers.submit(lambda: ran.append("first"))
    until(lambda: ran == ["first", "late"])
    until(lambda: workers.thread_count == 0)


def test_a_thread_that_is_too_many_hands_its_job_to_one_that_may_stay() -> None:
    workers = Workers(2, idle_s=None)
    workers.set_thread_count(2)
    until(lambda: len(workers._idle) == 2)
    workers._places.change(-1)  # and before they are told, there is a job for one of them
    ran: list[int] = []
    workers.submit(lambda: ran.append(1))
    until(lambda: ran == [1] and workers.thread_count == 1)
    workers.close()
    until(lambda: workers.thread_count == 0)


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
