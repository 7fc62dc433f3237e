"""fibril.offload: a blocking call on a native thread, and what becomes of it if nobody waits."""

import contextvars
import gc
import threading
import weakref
from typing import Any

import pytest

import fibril
from fibril import native
from fibril.dispatch.call import WaitedCall
from fibril.event import Event
from fibril.threadpool import ThreadPool
from tests.conftest import Gate, Growth, Interpreter, until

pytestmark = pytest.mark.loses("the pool and its threads: those wait 5 s for more work")


def one(gate: Gate) -> ThreadPool:
    """This hub's own pool from now on: of one thread, which waits at the gate."""
    pool: ThreadPool = ThreadPool(1)
    fibril.get_hub().threadpool = pool
    pool.spawn(gate.pass_through, "first")
    until(lambda: gate.arrived == ["first"])
    return pool


def fail(gate: Gate) -> None:
    gate.pass_through()
    raise ZeroDivisionError("on purpose")


class Thing:
    def __call__(self, *args: object) -> None:
        raise AssertionError("called")


def test_it_returns_what_the_function_returns_in_another_thread(fresh: None) -> None:
    assert fibril.offload(divmod, 7, 2) == (3, 1)
    assert fibril.offload(int, "ff", base=16) == 255
    assert fibril.offload(native.get_ident) != native.get_ident()


def test_it_raises_what_the_function_raises(fresh: None) -> None:
    with pytest.raises(ZeroDivisionError):
        fibril.offload(divmod, 1, 0)
    with pytest.raises(SystemExit):
        fibril.offload(exit, 3)


def test_others_run_meanwhile(fresh: None, gate: Gate) -> None:
    task = fibril.spawn(fibril.offload, gate.pass_through, 5)
    until(lambda: bool(gate.arrived))
    assert not task.ready()
    gate.open()
    assert task.get() == 5


def test_the_function_sees_the_callers_context_and_cannot_change_it(fresh: None) -> None:
    user = contextvars.ContextVar("user", default="nobody")
    user.set("ann")
    assert fibril.offload(user.get) == "ann"
    fibril.offload(user.set, "bob")
    assert (user.get(), fibril.offload(user.get)) == ("ann", "ann")
    assert contextvars.Context().run(fibril.offload, user.get) == "nobody"


def test_in_a_thread_of_the_pool_it_calls_at_once(fresh: None) -> None:
    def inner() -> tuple[int, int]:
        return native.get_ident(), fibril.offload(fibril.offload, native.get_ident)

    def in_a_task() -> Any:
        return fibril.spawn(inner).get()

    fibril.get_hub().threadpool = None
    for work in (inner, in_a_task):
        for _ in range(20):  # more than there are threads, if each took one and waited
            outer, innermost = fibril.offload(work)
            assert outer == innermost


def test_a_native_thread_without_tasks_may_use_it(fresh: None) -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(fibril.offload(pow, 2, 10)))
    thread.start()
    fibril.offload(thread.join)
    assert found == [1024]


def test_a_call_of_a_killed_task_never_begins_and_is_let_go(fresh: None, gate: Gate) -> None:
    pool = one(gate)
    thing = Thing()
    gone = weakref.ref(thing)
    task = fibril.spawn(fibril.offload, thing, thing)
    fibril.sleep(0)
    assert len(pool) == 2
    task.kill()
    del task, thing
    assert len(pool) == 1
    gc.collect()
    assert gone() is None
    gate.open()
    assert fibril.offload(int) == 0


def test_a_call_whose_time_is_over_never_begins(fresh: None, gate: Gate) -> None:
    pool = one(gate)
    with fibril.Timeout(0.001, False):
        fibril.offload(Thing())
    assert len(pool) == 1
    gate.open()
    assert pool.join(20)


def test_the_result_of_a_dropped_call_is_let_go(fresh: None, gate: Gate) -> None:
    pool = one(gate)
    gone: list[Any] = []

    def make() -> Thing:
        thing = Thing()
        gone.append(weakref.ref(thing))
        return gate.pass_through(thing)  # type: ignore[no-any-return]

    gate.open()
    until(lambda: not pool)
    gate.lock.acquire()
    task = fibril.spawn(fibril.offload, make)
    until(lambda: len(gate.arrived) == 2)
    task.kill()
    gate.arrived.clear()
    gate.open()
    assert pool.join(20)
    until(lambda: gone[0]() is None)


def test_what_a_dropped_call_raises_is_printed_once(
    fresh: None, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = fibril.get_hub().threadpool = ThreadPool(1)
    task = fibril.spawn(fibril.offload, fail, gate)
    until(lambda: bool(gate.arrived))
    task.kill()
    gate.open()
    assert pool.join(20)
    fibril.sleep(0)
    printed = capsys.readouterr().err
    assert printed.count("ZeroDivisionError: on purpose") == 1
    assert "<function fail at" in printed


def test_what_it_raises_just_before_its_task_is_killed_is_printed_once(
    fresh: None, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = fibril.get_hub().threadpool = ThreadPool(1)
    task = fibril.spawn(fibril.offload, fail, gate)
    until(lambda: bool(gate.arrived))
    gate.open()
    while pool:  # the task has been woken, and does not run before we wait
        native.sleep(0.001)
    task.kill(block=False)
    task.join()
    fibril.sleep(0)
    printed = capsys.readouterr().err
    assert printed.count("ZeroDivisionError: on purpose") == int(task.successful())


@pytest.mark.parametrize("moment", ["before it is settled", "when it is", "amid the task's steps"])
def test_what_fails_just_when_its_task_leaves_is_printed_once(
    fresh: None, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    class Moment(Event):
        def set(self) -> None:  # the thread's first step; its second is to look who has left
            if moment == "before it is settled":
                call._drop(fibril.get_hub())
            super().set()
            if moment == "when it is":
                call._drop(fibril.get_hub())

        def is_set(self) -> bool:  # the task's second step
            if moment == "amid the task's steps":
                call.fail(ZeroDivisionError("on purpose"))
            return super().is_set()

    call = WaitedCall(ThreadPool(1), divmod, (1, 0), {})
    call._settled = Moment()
    if moment == "amid the task's steps":
        call._drop(fibril.get_hub())
    else:
        call.fail(ZeroDivisionError("on purpose"))
    fibril.sleep(0)
    assert capsys.readouterr().err.count("ZeroDivisionError: on purpose") == 1


def test_a_dropped_call_of_a_thread_that_has_ended_is_printed_too(
    fresh: None, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = ThreadPool(1)

    def work() -> None:
        fibril.spawn(pool.apply, fail, (gate,))
        until(lambda: bool(gate.arrived))

    thread = threading.Thread(target=work)
    thread.start()
    fibril.offload(thread.join)
    gate.open()
    assert pool.join(20)
    assert capsys.readouterr().err.count("ZeroDivisionError: on purpose") == 1


def test_thousands_of_calls_of_many_tasks(fresh: None) -> None:
    fibril.get_hub().threadpool = None

    def work(number: int) -> int:
        return sum(fibril.offload(abs, -number) for _ in range(20))

    tasks = [fibril.spawn(work, number) for number in range(200)]
    assert [task.get() for task in tasks] == [20 * number for number in range(200)]
    assert fibril.get_hub().threadpool.size <= 10


def test_calls_leave_nothing_behind(fresh: None, growth: Growth) -> None:
    pool = fibril.get_hub().threadpool = ThreadPool(1)

    def call() -> None:
        fibril.offload(int)
        for use in (fibril.offload, pool.apply):
            with pytest.raises(ZeroDivisionError):
                use(divmod, *((1, 0) if use is fibril.offload else ((1, 0),)))
        pool.spawn(int).get()
        pool.join()

    growth.refuse(call, times=50)
    pool.kill()


def test_it_works_under_any_patch(interpreter: Interpreter) -> None:
    program = """
        from fibril import monkey
        monkey.patch_all()
        import time, threading, fibril
        lock = threading.Lock()
        lock.acquire()
        real_sleep = monkey.get_original("time", "sleep")
        fibril.spawn_later(0.01, lock.release)
        ran = []
        fibril.spawn(ran.append, 1)
        print(fibril.offload(lock.acquire), ran)        # a task's lock, waited for natively
        print(fibril.offload(real_sleep, 0.001), fibril.offload(time.sleep, 0.001))
        """
    assert interpreter.out(program) == "True [1]\nNone None\n"
