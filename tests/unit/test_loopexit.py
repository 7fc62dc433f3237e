"""LoopExit: a dead end is told, and the telling names who waits for what, and where."""

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fibril import Fiber, LoopExit, Task, get_hub, getcurrent, joinall, native, sleep, spawn
from fibril.event import AsyncResult, Event
from fibril.lock import BoundedSemaphore, RLock, Semaphore
from fibril.queue import Queue
from fibril.thread import LockType
from tests.conftest import Interpreter, Sim

WAITS = {
    "event": lambda: Event().wait(),
    "result": lambda: AsyncResult().get(),
    "semaphore": lambda: Semaphore(0).acquire(),
    "queue": lambda: Queue().get(),
    "full queue": lambda: Queue(1, ["full"]).put(1),
    "queue join": lambda: Queue(None, ["one"]).join(),
    "task": lambda: spawn(Event().wait).join(),
    "task get": lambda: spawn(Event().wait).get(),
    "tasks": lambda: joinall([spawn(Event().wait) for _ in range(3)]),
    "itself": lambda: spawn(lambda: getcurrent().join()).join(),  # type: ignore[attr-defined]
    "switch": lambda: Fiber(lambda: Event().wait()).switch(),
    "hub": lambda: get_hub().switch(),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_that_cannot_end_is_told_in_main(name: str, sim: Sim) -> None:
    with pytest.raises(LoopExit, match="would block forever"):
        WAITS[name]()
    assert spawn(lambda: sleep(1) or "alive").get() == "alive"


def test_it_can_be_told_again_and_again(sim: Sim) -> None:
    event = Event()
    for _ in range(5):
        with pytest.raises(LoopExit):
            event.wait()
    spawn(event.set)
    assert event.wait() is True


def test_it_waits_for_the_last_timer(sim: Sim) -> None:
    began = sim.now()
    spawn(sleep, 7)
    with pytest.raises(LoopExit):
        Event().wait()
    assert sim.now() - began == pytest.approx(7)


def test_the_parked_tasks_go_on_if_somebody_wakes_them_after_all(sim: Sim) -> None:
    event = Event()
    tasks = [spawn(event.wait) for _ in range(3)]
    with pytest.raises(LoopExit):
        tasks[0].join()
    event.set()
    assert [task.get() for task in tasks] == [True] * 3


def test_whoever_ends_last_may_find_the_dead_end(sim: Sim) -> None:
    """The report is then made on the stack of a task that has ended."""
    spawn(sleep, 1)
    with pytest.raises(LoopExit):
        Event().wait()


def test_it_names_each_with_what_it_waits_for_and_where(sim: Sim) -> None:
    event, queue, gate, lock = Event(), Queue(), Semaphore(0), RLock()
    lock.acquire()

    def wait_here(wait: Any, *args: Any) -> None:
        wait(*args)

    line = wait_here.__code__.co_firstlineno + 1
    tasks = [spawn(wait_here, wait) for wait in (event.wait, queue.get, gate.acquire, lock.acquire)]
    tasks.append(spawn(wait_here, Queue(1, [1]).put, 2))
    for number, task in enumerate(tasks):
        task.name = f"waiter-{number}"
    with pytest.raises(LoopExit) as caught:
        tasks[0].join()
    text = str(caught.value)
    assert "6 fiber(s) are parked" in text
    lines = {
        match[1]: match[0]
        for match in re.finditer(r'^  (?:task )?"?(.*?)"?(?: \(.*\))? waits.*$', text, re.MULTILINE)
    }
    for number, words in enumerate(("for", "to get from", "to acquire", "to acquire", "to put")):
        told = lines[f"waiter-{number}"]
        assert f"waits {words}" in told
        assert told.endswith(f"{__file__}:{line} in wait_here")
    assert repr(event) in lines["waiter-0"]
    assert repr(queue) in lines["waiter-1"]
    assert "waits to join" in lines["main fiber"]
    assert __file__ in lines["main fiber"]


def test_a_repr_that_fails_or_is_long_does_not_hide_the_rest(sim: Sim) -> None:
    class Broken(Event):
        def __repr__(self) -> str:
            raise ValueError("no repr")

    class Long(Event):
        def __repr__(self) -> str:
            return "x" * 10_000

    tasks = [spawn(Broken().wait), spawn(Long().wait), spawn(Event().wait)]
    with pytest.raises(LoopExit) as caught:
        joinall(tasks)
    text = str(caught.value)
    assert "no repr" in text
    assert "xxx..." in text
    assert len(text) < 5000  # with the paths of this tree, which may lie deep
    assert text.count("parked in Event.wait") == 1
    assert text.count(", parked ") == 4


def test_a_repr_that_waits_is_refused_and_loses_nothing(sim: Sim) -> None:
    event = Event()

    class Waiting(Event):
        def __repr__(self) -> str:
            sleep(1)
            return "never"

    waiting = Waiting()
    tasks = [spawn(waiting.wait), spawn(event.wait)]
    with pytest.raises(LoopExit, match="BlockingSwitchOutError"):
        joinall(tasks)
    waiting.set()
    event.set()
    assert [task.get() for task in tasks] == [True, True]


def test_of_very_many_only_some_are_named(sim: Sim) -> None:
    event = Event()
    waits = [eval(f"lambda: (event.wait(), {number})", {"event": event}) for number in range(200)]
    tasks = [spawn(wait) for wait in waits]
    with pytest.raises(LoopExit) as caught:
        joinall(tasks)
    text = str(caught.value)
    assert "201 fiber(s)" in text
    assert "… and 151 more" in text
    event.set()
    joinall(tasks)


def test_those_who_wait_alike_at_the_same_place_are_told_once(sim: Sim) -> None:
    event = Event()
    tasks = [spawn(event.wait) for _ in range(500)]
    with pytest.raises(LoopExit) as caught:
        joinall(tasks)
    text = str(caught.value)
    assert "501 fiber(s)" in text
    assert "and 499 more in the same place" in text
    assert text.count(", parked ") == 2
    event.set()
    joinall(tasks)


# ---- who has it, and where they come from ----


def dead_end(*tasks: Task) -> str:
    for number, task in enumerate(tasks):
        task.name = f"task {number}"
    with pytest.raises(LoopExit) as caught:
        joinall(tasks)
    for task in tasks:
        task.kill()
    return str(caught.value)


def take_both(first: Any, second: Any) -> None:
    with first:
        sleep(1)
        with second:
            pass


@pytest.mark.parametrize("kind", [RLock, Semaphore, BoundedSemaphore, LockType])
def test_a_circle_of_locks_is_told(sim: Sim, kind: Callable[[], Any]) -> None:
    one, two, three = kind(), kind(), kind()
    text = dead_end(
        spawn(take_both, one, two), spawn(take_both, two, three), spawn(take_both, three, one)
    )
    for waiter, holder in [(0, 1), (1, 2), (2, 0)]:
        assert re.search(
            rf'task "task {waiter}" .* waits .*, held by task "task {holder}" \(take_both', text
        )
    circle = re.search(r"A circle: (.*)\. Each waits", text)
    assert circle is not None
    assert re.findall(r"task (\d)", circle[1]) == ["0", "1", "2", "0"]


def test_a_circle_through_joins_is_told(sim: Sim) -> None:
    lock = RLock()
    first = Task(lambda: take_both(lock, lock) or second.join())
    second = spawn(first.join)
    first.start()
    text = dead_end(first, second)
    assert 'A circle: task "task 0" (<lambda>) → task "task 1" (<built-in method join' in text


def test_a_holder_that_has_ended_is_told(sim: Sim) -> None:
    lock = Semaphore(1)
    spawn(lock.acquire).join()
    text = dead_end(spawn(lock.acquire))
    assert "held by a fiber that has ended" in text
    assert "A circle" not in text


def test_a_lock_taken_twice_is_told_and_a_condition_is_no_circle(sim: Sim) -> None:
    lock = LockType()

    def twice() -> None:
        lock.acquire()
        lock.acquire()

    assert "which it acquired itself" in dead_end(spawn(twice))
    assert "A circle" not in dead_end(spawn(twice))


def test_a_holder_of_another_thread_is_named(sim: Sim) -> None:
    lock = Semaphore(1)
    held, told = native.allocate_lock(), native.allocate_lock()
    held.acquire()
    told.acquire()

    def hold() -> None:
        getcurrent()  # a thread that never asked for fibers is not known by name
        lock.acquire()
        held.release()
        told.acquire()

    thread = threading.Thread(target=hold)
    native.idle_threads.add(0)  # it will not wake anybody: no reason to hope
    thread.start()
    try:
        held.acquire()
        text = dead_end(spawn(lock.acquire))
    finally:
        native.idle_threads.discard(0)
        told.release()
        thread.join()
    assert "of another thread, parked" in text


def test_each_is_told_with_its_calls_and_who_spawned_it(sim: Sim) -> None:
    def outer() -> None:
        inner()

    def inner() -> None:
        Event().wait()

    text = dead_end(spawn(outer))
    inner_line, outer_line = inner.__code__.co_firstlineno, outer.__code__.co_firstlineno
    assert f"parked at {__file__}:{inner_line + 1} in inner\n" in text
    assert f"      called from {__file__}:{outer_line + 1} in outer\n" in text
    assert f"      spawned at {__file__}:{inner_line + 3} in" in text


def test_of_deep_stacks_the_innermost_calls_are_told(sim: Sim) -> None:
    def dive(depth: int) -> None:
        dive(depth - 1) if depth else Event().wait()

    text = dead_end(spawn(dive, 30))
    assert text.count("in dive") == 8
    assert "… 23 more calls" in text


def test_tasks_that_cannot_be_hashed_are_told(sim: Sim) -> None:
    class Odd(Task):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise ValueError("never compare")

    odd = Odd.spawn(Event().wait)
    with pytest.raises(LoopExit, match=r"Odd|task"):
        Event().wait()
    odd.kill()


def test_an_expected_wake_from_outside_is_no_dead_end(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import _thread, time, fibril
        from fibril.event import Event
        event = Event()
        hub = fibril.get_hub()
        def wake():
            time.sleep(0.05)
            event.set()
            hub.call_soon_threadsafe(hub.expect, -1)
        hub.expect(1)
        _thread.start_new_thread(wake, ())
        print(event.wait())
    """)
    assert out == "True\n"


def test_another_thread_that_runs_is_reason_to_hope(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import threading, time, fibril
        from fibril.event import Event
        event = Event()
        threading.Timer(0.05, event.set).start()
        print(event.wait())
    """)
    assert out == "True\n"


def test_a_signal_handler_is_reason_to_hope(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, fibril
        from fibril.event import Event
        event = Event()
        signal.signal(signal.SIGALRM, lambda *_: event.set())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        print(event.wait())
    """)
    assert out == "True\n"


def test_uncaught_it_ends_the_program_with_its_report(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import fibril
        from fibril.event import Event
        event = Event()
        def pump():
            event.wait()
        task = fibril.spawn(pump)
        task.name = "pump"
        task.join()
    """)
    assert done.status == 1
    assert "LoopExit: This operation would block forever" in done.err
    assert re.search(
        r"task .pump. \(pump\) waits for <fibril.*Event.*program.py:5 in pump", done.err
    )
    assert re.search(
        r"main fiber waits to join task .pump. \(pump\), parked at .*program.py:8 in <module>",
        done.err,
    )


DEAD_ENDS = """
    import threading, time, fibril
    from fibril.event import Event

    def wait(name):
        try:
            Event().wait()
        except fibril.LoopExit:
            ended.append(name)

    ended = []
"""


def test_threads_that_all_wait_in_vain_are_each_told(interpreter: Interpreter) -> None:
    out = interpreter.out(
        DEAD_ENDS
        + """
    threads = [threading.Thread(target=wait, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    wait("main")
    for thread in threads:
        thread.join(20)
    print(len(ended), sorted(map(str, ended)))
    """
    )
    assert out == "4 ['0', '1', '2', 'main']\n"


def test_a_thread_that_is_told_may_still_help_another(interpreter: Interpreter) -> None:
    """Who is woken at the same time by an event goes on, and is not at a dead end."""
    out = interpreter.out(
        DEAD_ENDS
        + """
    event = Event()

    def help_first():
        wait("helper")
        event.set()

    thread = threading.Thread(target=help_first)
    thread.start()
    time.sleep(0.05)
    try:
        print(event.wait())
    except fibril.LoopExit:
        print("LoopExit")
    thread.join(20)
    print(ended)
    """
    )
    assert out in ("True\n['helper']\n", "LoopExit\n['helper']\n")


def test_a_signal_handler_keeps_all_threads_waiting(interpreter: Interpreter) -> None:
    out = interpreter.out(
        DEAD_ENDS
        + """
    import signal
    event = Event()
    signal.signal(signal.SIGALRM, lambda *_: event.set())
    threading.Thread(target=wait, args=("other",), daemon=True).start()
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    print(event.wait(), ended)
    """
    )
    assert out == "True []\n"


def test_threads_that_take_turns_are_never_at_a_dead_end(interpreter: Interpreter) -> None:
    """Each waits while the other works; at most moments all but one have nothing to do."""
    out = interpreter.out(
        DEAD_ENDS
        + """
    from fibril.queue import Queue
    count = 4
    queues = [Queue() for _ in range(count)]

    def pass_on(number):
        for _ in range(2000):
            queues[(number + 1) % count].put(queues[number].get() + 1)
        ended.append(number)

    threads = [threading.Thread(target=pass_on, args=(number,)) for number in range(1, count)]
    for thread in threads:
        thread.start()
    queues[1].put(0)
    pass_on(0)
    for thread in threads:
        thread.join(60)
    print(sorted(ended))
    """
    )
    assert out == "[0, 1, 2, 3]\n"


def test_a_thread_that_ends_leaves_a_dead_end_that_is_noticed(interpreter: Interpreter) -> None:
    out = interpreter.out(
        DEAD_ENDS
        + """
    thread = threading.Thread(target=time.sleep, args=(0.3,))
    thread.start()
    wait("main")
    print(thread.is_alive(), ended)
    """
    )
    assert out == "False ['main']\n"


def test_a_thread_that_works_keeps_the_others_waiting(interpreter: Interpreter) -> None:
    """However often they ask: a thread that computes or sleeps may set an event."""
    out = interpreter.out(
        DEAD_ENDS
        + """
    event = Event()

    def work():
        time.sleep(0.7)
        event.set()

    other = threading.Thread(target=wait, args=("other",), daemon=True)
    for thread in (threading.Thread(target=work), other):
        thread.start()
    print(event.wait(), ended)
    """
    )
    assert out == "True []\n"


# ---- where a signal or a thread may still help, and nothing does ----

STANDSTILL = """
    import signal, threading, time, fibril
    from fibril.event import Event
    event = Event()
    def pump():
        return event.wait()
    task = fibril.spawn(pump)
"""


def test_a_wait_that_only_a_signal_can_end_is_told_once(interpreter: Interpreter) -> None:
    done = interpreter.run(
        STANDSTILL
        + """
    signal.signal(signal.SIGALRM, lambda *_: event.set())
    signal.setitimer(signal.ITIMER_REAL, 2.5)
    print(task.get())
    """,
        FIBRIL_STANDSTILL_LIMIT="0.3",
    )
    assert (done.status, done.out) == (0, "True\n")
    assert done.err.count("only a signal can go on from here") == 1
    assert "in pump" in done.err


def test_a_wait_that_only_a_thread_can_end_is_told_once(interpreter: Interpreter) -> None:
    done = interpreter.run(
        STANDSTILL
        + """
    def work():
        time.sleep(2)
        event.set()
    threading.Thread(target=work, name="worker").start()
    print(task.get())
    """,
        FIBRIL_STANDSTILL_LIMIT="0.3",
    )
    assert (done.status, done.out) == (0, "True\n")
    assert done.err.count("only thread 'worker' can go on from here") == 1


def test_that_can_be_turned_off(interpreter: Interpreter) -> None:
    out = interpreter.out(
        STANDSTILL
        + """
    signal.signal(signal.SIGALRM, lambda *_: event.set())
    signal.setitimer(signal.ITIMER_REAL, 1)
    print(task.get(), fibril.hub.set_standstill_limit(3))
    """,
        FIBRIL_STANDSTILL_LIMIT="0",
    )
    assert out == "True 0.0\n"


def test_such_a_limit_must_be_a_time(interpreter: Interpreter) -> None:
    from fibril.hub import set_standstill_limit

    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="0 or more"):
            set_standstill_limit(wrong)
    done = interpreter.run("import fibril", FIBRIL_STANDSTILL_LIMIT="soon")
    assert "FIBRIL_STANDSTILL_LIMIT='soon' is ignored" in done.err


def test_a_thread_that_python_does_not_know_may_call_back(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import ctypes, fibril
        from fibril.event import Event
        event = Event()
        libc = ctypes.CDLL(None)
        @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        def work(_):
            libc.usleep(300_000)
            event.set()
        thread = ctypes.c_ulong()
        libc.pthread_create(ctypes.byref(thread), None, work, None)
        print(event.wait())
    """)
    assert out == "True\n"
