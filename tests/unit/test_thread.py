"""Native threads: one hub each; what may be used across them; what a thread leaves when it ends."""

import gc
import re
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from fibril import Fiber, FiberError, GreenletExit, Task, get_hub, getcurrent, kill, sleep, spawn
from fibril.event import AsyncResult, Event
from fibril.lock import RLock, Semaphore
from fibril.queue import Queue
from fibril.testing import wait_all_parked
from tests.conftest import Growth, Interpreter

LIMIT_S = 20


class Failure(Exception):
    pass


def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Calls the function in a native thread; returns what it returns, or raises."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append((function(*args), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    assert not thread.is_alive(), "the thread hangs"
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


class Partner:
    """A native thread that runs its hub until told to stop, and does what it is asked."""

    def __enter__(self) -> "Partner":
        self.requests = Queue()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        return self

    def _serve(self) -> None:
        while (request := self.requests.get()) is not None:
            function, result = request
            try:
                result.set(function())
            except BaseException as error:
                result.set_exception(error)

    def do(self, function: Callable[[], Any]) -> Any:
        result: AsyncResult = AsyncResult()
        self.requests.put((function, result))
        return result.get(timeout=LIMIT_S)

    def __exit__(self, *_: object) -> None:
        self.requests.put(None)
        self.thread.join(LIMIT_S)
        assert not self.thread.is_alive(), "the partner hangs"


# ---- one hub each ----


def test_each_thread_has_its_own_hub_and_main_fiber(fresh: None) -> None:
    ours = (get_hub(), getcurrent())
    theirs = in_thread(lambda: (get_hub(), getcurrent(), get_hub() is get_hub()))
    assert theirs[2]
    assert theirs[0] is not ours[0]
    assert theirs[1] is not ours[1]
    assert (get_hub(), getcurrent()) == ours


def test_tasks_run_on_the_thread_that_makes_them(fresh: None) -> None:
    def idents() -> set[int]:
        tasks = [spawn(threading.get_ident) for _ in range(3)]
        return {task.get() for task in tasks} | {threading.get_ident()}

    assert len(in_thread(idents)) == 1
    assert len(idents()) == 1
    assert in_thread(idents) != idents()


# ---- waking across threads ----


def test_primitives_wake_fibers_of_another_thread(fresh: None) -> None:
    with Partner() as partner:
        event, queue, gate, result = Event(), Queue(), Semaphore(0), AsyncResult()
        partner.do(lambda: spawn(lambda: (event.set(), queue.put("item"), gate.release())))
        assert event.wait(LIMIT_S)
        assert queue.get(timeout=LIMIT_S) == "item"
        assert gate.acquire(timeout=LIMIT_S)
        partner.do(lambda: spawn(result.set, "result"))
        assert result.get(timeout=LIMIT_S) == "result"


def test_a_lock_passes_from_thread_to_thread(fresh: None) -> None:
    lock = RLock()
    order: list[str] = []
    with Partner() as partner:
        lock.acquire()

        def take() -> None:
            with lock:
                order.append("theirs")

        started = partner.do(lambda: spawn(take))
        partner.do(wait_all_parked)
        order.append("ours")
        lock.release()
        started.join(LIMIT_S)
    assert order == ["ours", "theirs"]


def test_a_task_of_another_thread_can_be_waited_for_and_linked(fresh: None) -> None:
    with Partner() as partner:
        gate = Event()
        task = partner.do(lambda: spawn(lambda: (gate.wait(), "value")[1]))
        seen: list[Any] = []
        task.rawlink(lambda ended: seen.append(ended.value))
        spawn(gate.set)
        assert task.get(timeout=LIMIT_S) == "value"
        partner.do(lambda: sleep(0))
        assert seen == ["value"]


@pytest.mark.parametrize("moment", ["unstarted", "ready", "parked", "timed"])
def test_a_task_of_another_thread_can_be_killed(moment: str, fresh: None) -> None:
    def make() -> Task:
        if moment == "unstarted":
            return Task(sleep, 100)
        if moment == "timed":
            return Task.spawn_later(100, sleep, 100)
        task = spawn(sleep, 100)
        if moment == "parked":
            sleep(0)
        return task

    with Partner() as partner:
        task = partner.do(make)
        task.kill(timeout=LIMIT_S)
        assert isinstance(task.value, GreenletExit)


def test_a_failing_kill_of_another_threads_unstarted_task_is_reported_somewhere(
    fresh: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with Partner() as partner:
        task = partner.do(lambda: Task(sleep, 100))
        task.kill(Failure, timeout=LIMIT_S)
        assert isinstance(task.exception, Failure)
    assert "Failure" in capsys.readouterr().err


def test_a_task_may_be_started_by_another_thread(fresh: None) -> None:
    with Partner() as partner:
        task = partner.do(lambda: Task(threading.get_ident))
        task.start()
        assert task.get(timeout=LIMIT_S) == partner.thread.ident
        later = partner.do(lambda: Task(threading.get_ident))
        later.start_later(0.01)
        assert later.get(timeout=LIMIT_S) == partner.thread.ident


def test_call_soon_threadsafe_wakes_a_sleeping_hub(fresh: None) -> None:
    with Partner() as partner:
        hub = partner.do(get_hub)
        event = Event()
        for _ in range(20):
            event.clear()
            hub.call_soon_threadsafe(event.set)
            assert event.wait(LIMIT_S)


def test_a_queue_between_two_threads_loses_and_doubles_nothing(fresh: None) -> None:
    there, back = Queue(3), Queue(3)

    def answer() -> None:
        while (item := there.get()) is not None:
            back.put(item)
        back.put(None)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    feeder = spawn(lambda: ([there.put(number) for number in range(2000)], there.put(None)))
    received = list(iter(back.get, None))
    feeder.join()
    thread.join(LIMIT_S)
    assert received == list(range(2000))


def test_many_threads_share_a_semaphore_and_a_queue(fresh: None) -> None:
    gate, queue = Semaphore(3), Queue()
    inside = 0
    most = 0

    def visit(number: int) -> None:
        nonlocal inside, most
        for _ in range(20):
            with gate:
                inside += 1
                most = max(most, inside)
                sleep(0)
                inside -= 1
        queue.put(number)

    def crowd(start: int) -> None:
        tasks = [spawn(visit, start + number) for number in range(5)]
        for task in tasks:
            task.get()

    threads = [threading.Thread(target=crowd, args=(10 * n,), daemon=True) for n in range(6)]
    for thread in threads:
        thread.start()
    numbers = sorted(queue.get(timeout=LIMIT_S) for _ in range(30))
    for thread in threads:
        thread.join(LIMIT_S)
    assert numbers == sorted(10 * n + k for n in range(6) for k in range(5))
    assert inside == 0
    assert most <= 3
    assert gate.counter == 3


# ---- what may not be done across threads ----


def test_switching_across_threads_is_refused(fresh: None) -> None:
    with Partner() as partner:
        fiber = partner.do(lambda: Fiber(lambda: None))
        task = partner.do(lambda: spawn(sleep, 100))
        main = partner.do(getcurrent)
        for one in (fiber, task, main, partner.do(get_hub)):
            with pytest.raises(FiberError, match="different thread"):
                one.switch()
        for one in (fiber, main):
            with pytest.raises(FiberError, match="different thread"):
                one.throw(Failure)
        task.kill(timeout=LIMIT_S)
        assert not fiber.dead


def test_a_plain_fiber_of_another_thread_is_killed_by_its_own_hub(fresh: None) -> None:
    with Partner() as partner:
        steps: list[Any] = []

        def make() -> Fiber:
            def work() -> None:
                try:
                    getcurrent().parent.switch()
                finally:
                    steps.append(threading.get_ident())

            fiber = Fiber(work, get_hub())
            get_hub().call_soon(fiber.switch)
            sleep(0)
            return fiber

        fiber = partner.do(make)
        kill(fiber)
        partner.do(lambda: sleep(0))
        assert fiber.dead
        assert steps == [partner.thread.ident]


def test_a_fiber_dropped_here_unwinds_in_its_own_thread(fresh: None) -> None:
    with Partner() as partner:
        steps: list[Any] = []

        def make() -> Fiber:
            def work() -> None:
                main = getcurrent().parent
                try:
                    main.switch()
                finally:
                    steps.append(threading.get_ident())

            fiber = Fiber(work)
            fiber.switch()
            fiber.parent = get_hub()
            return fiber

        box = [partner.do(make)]
        box.clear()
        gc.collect()
        partner.do(lambda: sleep(0))
        assert steps == [partner.thread.ident]


def test_a_cycle_collected_here_unwinds_in_its_own_thread(fresh: None) -> None:
    with Partner() as partner:
        steps: list[Any] = []

        def make() -> None:
            def work() -> None:
                me = getcurrent()
                try:
                    me.parent.switch()
                finally:
                    steps.append(threading.get_ident())

            fiber = Fiber(work)
            fiber.switch()
            fiber.parent = get_hub()

        partner.do(make)
        gc.collect()
        partner.do(lambda: sleep(0))
        partner.do(gc.collect)
        partner.do(lambda: sleep(0))
        assert steps == [partner.thread.ident]


def test_collecting_here_while_fibers_there_sleep_in_the_kernel_is_safe(fresh: None) -> None:
    with Partner() as partner:
        tasks = partner.do(lambda: [spawn(sleep, 100) for _ in range(50)])
        sleep(0.01)
        for _ in range(20):
            gc.collect()
        for task in tasks:
            task.kill(block=False)
        for task in tasks:
            task.join(LIMIT_S)
        assert all(task.successful() for task in tasks)


def test_frames_of_another_threads_fibers_can_be_looked_at(fresh: None) -> None:
    with Partner() as partner:

        def park_here() -> None:
            sleep(100)

        task = partner.do(lambda: spawn(park_here))
        partner.do(wait_all_parked)
        frame = task.gr_frame
        assert frame is not None
        assert frame.f_code.co_name == "park_here"
        task.kill(timeout=LIMIT_S)


# ---- the end of a thread ----


def leave_fibers_in_every_state() -> list[Fiber]:
    """Called in a thread that ends at once: nobody will run any of these again."""
    event, gate = Event(), Semaphore(0)
    main = getcurrent()
    suspended = Fiber(main.switch)
    suspended.switch()
    parked = [spawn(sleep, 100), spawn(event.wait), spawn(gate.acquire), spawn(event.wait, 100)]
    joining = spawn(parked[0].join)
    sleep(0)
    ready = spawn(event.wait)
    sleep(0)
    event.set()
    timed = Task.spawn_later(100, sleep)
    pending = [Task(lambda: None), spawn(lambda: None)]
    ended = spawn(lambda: "value")
    ended.join()
    return [suspended, *parked, joining, ready, timed, *pending, ended, main, get_hub()]


def test_what_a_thread_leaves_behind_is_dead_and_says_so(fresh: None) -> None:
    fibers = in_thread(leave_fibers_in_every_state)
    gc.collect()
    assert all(fiber.dead for fiber in fibers)
    assert not any(fibers)
    hub = fibers.pop()
    with pytest.raises(FiberError, match="exited"):
        hub.switch()
    for fiber in fibers:
        assert re.search("dead|: ended>", repr(fiber))
        with pytest.raises(FiberError, match="exited"):
            fiber.switch()
        with pytest.raises(FiberError, match="exited"):
            fiber.throw(Failure)
        assert fiber.gr_frame is None or fiber.gr_frame.f_code
        kill(fiber)
        if isinstance(fiber, Task) and not fiber.ready():
            with pytest.raises(FiberError):
                fiber.join()
            with pytest.raises(FiberError):
                fiber.get(timeout=1)
    with pytest.raises(FiberError):
        hub.call_soon(print)
    assert hub.parked() == []
    assert hub.statistics()["fd_waiters"] == 0
    assert hub.main is fibers[-1]
    del fibers, hub, fiber
    gc.collect()


def test_whoever_waits_for_a_task_whose_thread_ends_is_told(fresh: None) -> None:
    made: list[Task] = []
    is_made, is_waited_for = threading.Event(), threading.Event()

    def work() -> None:
        made.append(spawn(sleep, 100))
        sleep(0)
        is_made.set()
        is_waited_for.wait(LIMIT_S)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert is_made.wait(LIMIT_S)
    spawn(is_waited_for.set)
    assert isinstance(made[0].get(timeout=LIMIT_S), GreenletExit)
    thread.join(LIMIT_S)


def test_primitives_outlive_the_threads_that_waited_in_them(fresh: None) -> None:
    event, queue, gate = Event(), Queue(), Semaphore(0)

    def wait_and_leave() -> None:
        for wait in (event.wait, queue.get, gate.acquire):
            spawn(wait)
        sleep(0)

    for _ in range(10):
        in_thread(wait_and_leave)
    gc.collect()
    event.set()
    queue.put("for the living")
    gate.release()
    assert queue.get(timeout=1) == "for the living"
    assert gate.acquire(timeout=1)


def test_threads_that_come_and_go_leave_nothing_behind(fresh: None, growth: Growth) -> None:
    def visit() -> None:
        assert spawn(lambda: "value").get() == "value"
        spawn(lambda: None).rawlink(lambda _: None)
        sleep(0)
        Fiber(lambda: None).switch()
        spawn(lambda: None)
        Task(lambda: None)

    growth.refuse(lambda: in_thread(visit), times=20)


def test_main_fibers_and_hubs_go_with_their_threads(fresh: None) -> None:
    def visit() -> list[weakref.ref[Fiber]]:
        spawn(lambda: None).rawlink(lambda _: None)
        sleep(0)
        return [weakref.ref(getcurrent()), weakref.ref(get_hub())]

    references = [reference for _ in range(5) for reference in in_thread(visit)]
    gc.collect()
    assert [reference() for reference in references] == [None] * 10


def test_a_thread_may_end_by_an_exception_in_a_fiber(fresh: None) -> None:
    def fail() -> None:
        raise Failure

    with pytest.raises(Failure):
        in_thread(lambda: Fiber(fail).switch())
    with pytest.raises(SystemExit):
        in_thread(lambda: (spawn(sys.exit, 3), sleep(100)))


def test_an_ended_threads_task_can_be_dropped_anywhere(fresh: None) -> None:
    for _ in range(5):
        fibers = in_thread(leave_fibers_in_every_state)
        while fibers:
            fibers.pop()
            gc.collect()
    assert in_thread(lambda: spawn(lambda: "alive").get()) == "alive"


# ---- the end of the interpreter ----

STATES = {
    "suspended": "f = Fiber(lambda: main.switch()); f.switch()",
    "suspended deep": "f = Fiber(lambda: sorted([1], key=lambda _: main.switch())); f.switch()",
    "suspended in a cycle": "f = Fiber(lambda: main.switch()); f.me = f; f.switch(); del f",
    "pending": "f = Fiber(len)",
    "parked": "f = spawn(sleep, 100); sleep(0)",
    "parked on an event": "e = Event(); f = spawn(e.wait); sleep(0)",
    "parked on a queue": "q = Queue(); f = spawn(q.get); sleep(0)",
    "ready": "f = spawn(sleep, 100)",
    "woken": "e = Event(); f = spawn(e.wait); sleep(0); e.set()",
    "timed": "f = fibril.spawn_later(100, sleep)",
    "ended": "f = spawn(len, ''); f.join()",
    "killed": "f = spawn(sleep, 100); sleep(0); f.kill(block=False)",
    "in a thread": "threading.Thread(target=lambda: spawn(sleep, 9) and sleep(0)).start()",
    "in a daemon thread": (
        "threading.Thread(target=sleep, args=(100,), daemon=True).start(); time.sleep(.05)"
    ),
    "in a fiber of a daemon thread": (
        "threading.Thread(target=lambda: Fiber(sleep).switch(100), daemon=True).start();"
        " time.sleep(.05)"
    ),
    "busy in a fiber of a daemon thread": (
        "threading.Thread(target=lambda: Fiber(lambda: [0 for _ in iter(int, 1)]).switch(),"
        " daemon=True).start(); time.sleep(.05)"
    ),
    "natively asleep in a fiber of a daemon thread": (
        "threading.Thread(target=lambda: Fiber(time.sleep).switch(100), daemon=True).start();"
        " time.sleep(.05)"
    ),
    "with a pending timeout": "t = fibril.Timeout.start_new(100)",
    "with a callback": "fibril.get_hub().call_soon(print)",
    "with a context": "v = ContextVar('v'); v.set(1); f = spawn(sleep, 9); sleep(0)",
    "holding a file": "f = Fiber(lambda: (open(__file__), main.switch())); f.switch()",
    "in a generator": "f = Fiber(lambda: [main.switch() for _ in 'abc']); f.switch()",
    "kept by a module": "import string; string.f = spawn(sleep, 9); sleep(0)",
    "kept by the interpreter": "f = spawn(sleep, 9); sleep(0); import sys; sys.f = f",
}


@pytest.mark.parametrize("state", STATES)
def test_the_interpreter_ends_cleanly_whatever_fibers_do(
    state: str, interpreter: Interpreter
) -> None:
    program = "\n".join(
        [
            "import threading, time, fibril",
            "from contextvars import ContextVar",
            "from fibril import Fiber, getcurrent, sleep, spawn",
            "from fibril.event import Event",
            "from fibril.queue import Queue",
            "main = getcurrent()",
            STATES[state],
            "print('end of program')",
        ]
    )
    assert interpreter.out(program) == "end of program\n"


def test_fibril_can_be_used_while_the_interpreter_ends(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import atexit, fibril
        def last():
            print(fibril.spawn(lambda: fibril.sleep(0.01) or "from atexit").get())
            print(fibril.Fiber(lambda: "fiber").switch())
        atexit.register(last)
        class Late:
            def __del__(self, get=fibril.getcurrent, fiber=fibril.Fiber, spawn=fibril.spawn):
                for use in (get, lambda: fiber(len).switch(""), lambda: spawn(len, "")):
                    try:
                        use()
                    except Exception:
                        pass
                print("destructor")
        late = Late()
        late.me = late
    """)
    assert out == "from atexit\nfiber\ndestructor\n"


def test_sys_exit_in_a_task_ends_the_program_with_its_status(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import sys, fibril
        fibril.spawn(sys.exit, 7)
        fibril.spawn(fibril.sleep, 100)
        fibril.sleep(50)
    """)
    assert (done.status, done.out, done.err) == (7, "", "")
