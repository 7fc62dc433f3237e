"""Signal handlers are the main thread's: where they run, who meets what they raise, and what may
wait in them. Each is a program of its own, as Python handles signals in the main thread only."""

import pytest

from tests.conftest import Interpreter

# raise_signal() has its handler called before the next instruction, so places are exact.
BEGIN = """
        import os, signal, sys, fibril
        from fibril.event import Event

        class Stop(Exception): pass

        def ring():
            signal.raise_signal(signal.SIGUSR1)

        def handle(function):
            signal.signal(signal.SIGUSR1, lambda number, frame: function())
            return function
"""


def program(text: str) -> str:
    return BEGIN + text


# ---- who meets what a handler raises ----


@pytest.mark.parametrize("raised", ["Stop", "KeyboardInterrupt", "SystemExit"])
@pytest.mark.parametrize("wait", ["task.join()", "fibril.sleep(30)", "Event().wait(30)"])
def test_a_parked_main_meets_it_at_once(raised: str, wait: str, interpreter: Interpreter) -> None:
    out = interpreter.out(
        program(f"""
        @handle
        def handler():
            raise {raised}

        def work():
            try:
                ring()
                print("the task goes on")
            except BaseException as error:
                print("the task met", error)

        task = fibril.spawn(work)
        try:
            {wait}
        except {raised}:
            print("main met it", task.dead)
        task.join()
        print(task.successful())
    """)
    )
    assert out == "main met it False\nthe task goes on\nTrue\n"


def test_a_main_that_was_woken_comes_back_and_meets_it_where_it_waits_next(
    interpreter: Interpreter,
) -> None:
    """As a thread that was woken would be further on by the time of the signal."""
    out = interpreter.out(
        program("""
        from fibril.queue import Queue
        queue = Queue()

        @handle
        def handler():
            raise Stop

        def work():
            queue.put("item")
            ring()

        task = fibril.spawn(work)
        try:
            item = queue.get()
            fibril.sleep(30)
        except Stop:
            print("main met it with its", item)
    """)
    )
    assert out == "main met it with its item\n"


def test_a_main_that_was_woken_and_does_not_wait_any_more_meets_it_soon(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(
        program("""
        @handle
        def handler():
            raise Stop

        def work():
            event.set()
            ring()

        event = Event()
        fibril.spawn(work)
        try:
            is_woken = event.wait()
            while True:
                pass
        except Stop:
            print("main met it", is_woken)
    """)
    )
    assert out == "main met it True\n"


def test_a_main_that_only_polls_meets_it(interpreter: Interpreter) -> None:
    """The turns that fairness takes raise nothing by themselves."""
    out = interpreter.out(
        program("""
        @handle
        def handler():
            raise Stop

        fibril.spawn(ring)
        lock = fibril.lock.Semaphore(1)
        try:
            for _ in range(10**9):
                lock.locked()
        except Stop:
            print("main met it")
    """)
    )
    assert out == "main met it\n"


@pytest.mark.parametrize(
    "start",
    [
        "fibril.spawn(compute).join()",
        "thread = threading.Thread(target=compute, daemon=True); thread.start(); thread.join()",
        "fibril.get_hub().loop.run_callback(compute); fibril.sleep(30)",
    ],
)
def test_what_never_gives_way_does_not_keep_ctrl_c_from_ending_the_program(
    start: str, interpreter: Interpreter
) -> None:
    done = interpreter.run(
        program(f"""
        from fibril import monkey, native
        monkey.patch_all()
        import threading

        def interrupt():
            os.kill(os.getpid(), signal.SIGINT)

        def compute():
            native.start_new_thread(interrupt, ())
            while True:
                pass

        {start}
    """)
    )
    assert (done.status, done.out) == (-2, "")
    assert done.err.endswith("KeyboardInterrupt\n")


def test_nothing_is_raised_in_a_thread_that_is_a_task(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        from fibril import monkey
        monkey.patch_all()
        import threading

        @handle
        def handler():
            print(threading.current_thread() is threading.main_thread(), threading.active_count())
            print(threading.get_ident() == threading.main_thread().ident)
            raise Stop

        thread = threading.Thread(target=ring)
        try:
            thread.start()
            thread.join()
            fibril.sleep(30)
        except Stop:
            print("main met it")
        thread.join()
        print(threading.active_count())
    """)
    )
    assert out == "True 2\nTrue\nmain met it\n1\n"


def test_main_itself_meets_it_where_it_is(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        @handle
        def handler():
            print(fibril.getcurrent() is main)
            raise Stop

        main = fibril.getcurrent()
        try:
            ring()
        except Stop:
            print("main met it")
    """)
    )
    assert out == "True\nmain met it\n"


def test_a_fiber_that_main_switched_to_meets_it_itself(interpreter: Interpreter) -> None:
    """It goes to main from there, as with greenlet."""
    out = interpreter.out(
        program("""
        @handle
        def handler():
            raise Stop

        def work():
            try:
                ring()
            finally:
                print("the fiber ends")

        fibril.sleep(0)
        try:
            fibril.Fiber(work).switch()
        except Stop:
            print("main met it")
    """)
    )
    assert out == "the fiber ends\nmain met it\n"


def test_a_handler_inside_a_handler_raises_in_that(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        signal.signal(signal.SIGUSR2, lambda *_: 1 / 0)

        @handle
        def handler():
            try:
                signal.raise_signal(signal.SIGUSR2)
            except ZeroDivisionError:
                print("the first one met it")

        fibril.spawn(ring).join()
    """)
    )
    assert out == "the first one met it\n"


def test_an_import_is_not_left_for_main(interpreter: Interpreter) -> None:
    (interpreter.folder / "rings.py").write_text(
        "import signal\nsignal.raise_signal(signal.SIGUSR1)\nprint('imported')\n",
        encoding="utf-8",
    )
    out = interpreter.out(
        program("""
        @handle
        def handler():
            raise Stop

        def work():
            import rings
            print("the task goes on")

        try:
            fibril.spawn(work).join()
        except Stop:
            print("main met it")
    """)
    )
    assert out == "imported\nthe task goes on\nmain met it\n"


# ---- what a handler may do ----


def test_a_handler_may_wait_while_who_was_interrupted_goes_on(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        order = []

        @handle
        def handler():
            order.append("wait")
            fibril.sleep(0)
            order.append("waited")

        def work():
            ring()
            order.append("work")

        fibril.joinall([fibril.spawn(work), fibril.spawn(order.append, "other")])
        print(order)
    """)
    )
    assert out == "['wait', 'work', 'other', 'waited']\n"


def test_a_handler_may_take_what_the_interrupted_one_holds(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        from fibril.lock import RLock
        lock = RLock()

        @handle
        def handler():
            with lock:
                print("handled")

        def work():
            with lock:
                ring()
                print("the task has it")

        fibril.spawn(work).join()
        fibril.sleep(0)
    """)
    )
    assert out == "the task has it\nhandled\n"


def test_a_handler_sees_mains_context_and_the_interrupted_frame(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import contextvars, signal, fibril
        variable = contextvars.ContextVar("variable")
        variable.set("main's")

        def handler(number, frame):
            print(variable.get(), frame.f_code.co_name)
            variable.set("changed")

        def work():
            variable.set("the task's")
            signal.raise_signal(signal.SIGUSR1)
            print(variable.get())

        def wait_in_main():
            fibril.sleep(0.3)

        signal.signal(signal.SIGUSR1, handler)
        signal.signal(signal.SIGALRM, handler)
        fibril.spawn(work).join()
        print(variable.get())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        fibril.spawn(fibril.sleep, 0.1)  # it parks last, so the hub sleeps on its stack
        wait_in_main()
    """)
    assert out == "main's work\nthe task's\nchanged\nchanged wait_in_main\n"


def test_a_handler_is_awaited_before_the_program_ends(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        @handle
        def handler():
            fibril.sleep(0.05)
            print("handled")

        fibril.spawn(ring).join()
        print("main ends")
    """)
    )
    assert out == "main ends\nhandled\n"


def test_a_handler_may_fork(interpreter: Interpreter) -> None:
    """In the child only the handler goes on, and its process ends with it."""
    out = interpreter.out(
        program("""
        @handle
        def handler():
            pid = os.fork()
            if pid:
                print(os.waitpid(pid, 0)[1])

        def work():
            ring()
            print("the task, once")

        fibril.spawn(work).join()
    """)
    )
    assert out == "0\nthe task, once\n"


def test_a_handler_may_kill_who_was_interrupted(interpreter: Interpreter) -> None:
    """Which is told of it at its next wait, as it does not wait where it is."""
    out = interpreter.out(
        program("""
        @handle
        def handler():
            task.kill()
            print("killed", task.dead)

        def work():
            ring()
            print("goes on to its next wait")
            fibril.sleep(30)

        task = fibril.spawn(work)
        task.join()
        fibril.sleep(0)
    """)
    )
    assert out == "goes on to its next wait\nkilled True\n"


def test_who_is_unwound_while_a_handler_of_its_signal_waits_ends(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        @handle
        def handler():
            fibril.throw_it()

        def throw():
            fibril.Fiber.throw(task, Stop)  # by hand: it is met where the fiber was left

        fibril.throw_it = throw

        def work():
            try:
                ring()
            except Stop:
                print("the task met it")

        task = fibril.spawn(work)
        task.join()
    """)
    )
    assert out == "the task met it\n"


def test_a_hundred_signals_leave_no_fiber_and_no_reference(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        import gc
        from fibril import _core

        @handle
        def handler():
            fibril.sleep(0)

        def work():
            for _ in range(100):
                ring()
                fibril.sleep(0)

        fibril.spawn(work).join()
        fibril.sleep(0)
        gc.collect()
        before = len(gc.get_objects()), len(_core.all_fibers())
        fibril.spawn(work).join()
        fibril.sleep(0)
        gc.collect()
        print(len(gc.get_objects()) - before[0] < 5, len(_core.all_fibers()) - before[1])
    """)
    )
    assert out == "True 0\n"


# ---- what is installed ----


def test_who_asks_for_a_handler_is_told_the_one_that_was_set(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal
        def before(*_): pass
        def after(*_): pass
        signal.signal(signal.SIGUSR1, before)
        import fibril
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        print(signal.getsignal(signal.SIGUSR1) is before)
        print(signal.signal(signal.SIGUSR1, after) is before)
        print(signal.signal(signal.SIGUSR1, signal.SIG_IGN) is after)
        print(signal.signal(signal.SIGUSR1, signal.SIG_DFL), signal.getsignal(signal.SIGUSR1))
        for wrong in (None, 5, "text"):
            try:
                signal.signal(signal.SIGUSR1, wrong)
            except TypeError as error:
                print(error)
    """)
    message = "signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object\n"
    assert out == "True\n" * 4 + "1 0\n" + message * 3


def test_handlers_of_a_program_that_imports_fibril_in_a_thread_are_mains_too(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import signal, threading
        def handler(*_):
            raise KeyError("handled")
        signal.signal(signal.SIGUSR1, handler)
        thread = threading.Thread(target=__import__, args=("fibril",))
        thread.start()
        thread.join()
        import fibril
        try:
            fibril.spawn(signal.raise_signal, signal.SIGUSR1).join()
        except KeyError as error:
            print(error, signal.getsignal(signal.SIGUSR1) is handler)
    """)
    assert out == "'handled' True\n"


# ---- the functions of `signal` beside it ----


def test_a_signal_to_a_task_goes_to_the_thread_that_carries_it(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        from fibril import monkey
        monkey.patch_all()
        import threading, time

        @handle
        def handler():
            print("handled in", threading.current_thread().name)

        def work():
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            print(time.clock_gettime(time.pthread_getcpuclockid(threading.get_ident())) > 0)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        for call in (signal.pthread_kill, lambda ident, _: time.pthread_getcpuclockid(ident)):
            try:
                call(thread.ident, signal.SIGUSR1)
            except ProcessLookupError as error:
                print(error.strerror)
    """)
    )
    assert out == (
        "handled in MainThread\nTrue\nhandled in MainThread\nNo such process\nNo such process\n"
    )


def test_timers_wakeup_descriptors_and_restarted_calls_keep_their_meaning(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(
        program("""
        import socket
        here, there = socket.socketpair()
        for end in here, there:
            end.setblocking(False)
        print(signal.set_wakeup_fd(there.fileno()))
        signal.siginterrupt(signal.SIGALRM, False)
        rings = []
        signal.signal(signal.SIGALRM, lambda *_: rings.append(1))
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        while len(rings) < 3:
            fibril.sleep(0.001)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(set(here.recv(100)) == {signal.SIGALRM}, signal.set_wakeup_fd(-1) == there.fileno())
    """)
    )
    assert out == "-1\nTrue True\n"


def test_what_a_handler_throws_at_a_fiber_that_is_being_unwound_waits_for_its_next_wait(
    interpreter: Interpreter,
) -> None:
    """Only its end is raised where it was interrupted, and it has met that."""
    out = interpreter.out(
        program("""
        @handle
        def handler():
            fibril.kill(victim, Stop)

        def dropped(back):
            global victim
            try:
                back.switch()
            finally:
                victim = fibril.getcurrent()
                try:
                    ring()
                    print("it goes on")
                    fibril.sleep(0)
                except Stop:
                    print("and meets it")

        def work():
            fibril.Fiber(dropped).switch(fibril.getcurrent())

        fibril.spawn(work).join()
    """)
    )
    assert out == "it goes on\nand meets it\n"
