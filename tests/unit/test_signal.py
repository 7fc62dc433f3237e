"""Signals: handlers run promptly, whoever is parked; Ctrl-C is the main fiber's in the end.

Python handles signals in the main thread, so these are programs of their own. Each is told when to
send by what the other side has printed or done, never by a time.
"""

import signal
import sys

import pytest

import fibril
from fibril import get_hub
from fibril.errors import InvalidThreadUseError
from fibril.hub import signal as hub_signal
from tests.conftest import Interpreter, Sim

# A native thread that sends a signal once the main thread sleeps in the poller. Its numbers are
# epoll_wait, epoll_pwait and epoll_pwait2, of x86-64 and aarch64.
SEND = """
        import os, signal, threading, fibril
        from fibril import native

        def send(number):
            pid = os.getpid()

            def is_polling():
                with open(f"/proc/{pid}/task/{pid}/syscall") as file:
                    return file.read().split()[0] in ("232", "281", "22", "441")

            def work():
                while not is_polling():
                    native.sleep(0.001)
                os.kill(pid, number)

            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            return thread
"""


def program(text: str) -> str:
    return SEND + text


# ---- loop.signal ----


def test_a_signal_watcher_calls_back_while_everybody_is_parked(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        hub = fibril.get_hub()
        watcher = hub.loop.signal(signal.SIGUSR1)
        for _ in range(3):
            thread = send(signal.SIGUSR1)
            hub.wait(watcher)
            print("told", watcher.active)
            thread.join()
        print(signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL)
    """)
    )
    assert out == "told False\n" * 3 + "True\n"


def test_several_may_watch_a_signal_and_the_former_handler_comes_back(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import os, signal, fibril
        def mine(*_):
            print("mine")
        signal.signal(signal.SIGUSR1, mine)
        loop = fibril.get_hub().loop
        first, second = loop.signal(signal.SIGUSR1), loop.signal(signal.SIGUSR1)
        first.start(print, "first")
        second.start(print, "second")
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR1)
        print(first.pending, second.pending)
        fibril.sleep(0)
        first.stop()
        os.kill(os.getpid(), signal.SIGUSR1)
        fibril.sleep(0)
        second.stop()
        os.kill(os.getpid(), signal.SIGUSR1)
        print(signal.getsignal(signal.SIGUSR1) is mine)
    """)
    assert out == "True True\nfirst\nsecond\nsecond\nmine\nTrue\n"


def test_a_handler_that_the_program_has_put_there_meanwhile_stays(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out("""
        import os, signal, fibril
        watcher = fibril.get_hub().loop.signal(signal.SIGUSR1)
        watcher.start(print, "not called")
        signal.signal(signal.SIGUSR1, lambda *_: print("the program's"))
        watcher.stop()
        os.kill(os.getpid(), signal.SIGUSR1)
    """)
    assert out == "the program's\n"


def test_what_is_no_signal_or_cannot_be_handled_is_refused(
    sim: Sim, interpreter: Interpreter
) -> None:
    for number in (0, -1, 5000):
        with pytest.raises(ValueError, match="illegal signal number"):
            get_hub().loop.signal(number)
    watcher = get_hub().loop.signal(signal.SIGUSR1)
    with pytest.raises(InvalidThreadUseError, match="main thread"):
        watcher.start(int)
    assert not watcher.active
    assert get_hub().loop.activecnt == 0
    out = interpreter.out("""
        import signal, fibril
        watcher = fibril.get_hub().loop.signal(signal.SIGKILL)
        try:
            watcher.start(print)
        except OSError as error:
            print(error.strerror, watcher.active)
        try:
            watcher.start(print)
        except OSError as error:
            print(error.strerror, watcher.active)
    """)
    assert out == "Invalid argument False\n" * 2


def test_only_a_signal_watcher_with_ref_keeps_join_waiting(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, fibril
        hub = fibril.get_hub()
        watcher = hub.loop.signal(signal.SIGUSR1)
        watcher.start(print)
        print(hub.join(0.001))
        watcher.ref = False
        print(hub.join())
    """)
    assert out == "False\nTrue\n"


# ---- signal_handler ----


def test_a_signal_handler_runs_in_a_task_of_its_own_each_time(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        from fibril.event import Event
        done = Event()
        count = []

        def handler(word, *, number):
            fibril.sleep(0.001)  # it may wait
            count.append(1)
            print(word, number, isinstance(fibril.getcurrent(), fibril.Task))
            done.set()

        watched = fibril.signal_handler(signal.SIGUSR1, handler, "word", number=5)
        for _ in range(2):
            thread = send(signal.SIGUSR1)
            done.wait()
            done.clear()
            thread.join()
        watched.cancel()
        print(watched.args, watched.handler, signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL)
        watched.cancel()
    """)
    )
    assert out == "word 5 True\n" * 2 + "() None True\n"


def test_a_signal_handler_keeps_nobody_waiting_unless_it_shall(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, fibril
        watched = fibril.signal_handler(signal.SIGUSR1, print)
        print(watched.ref, fibril.wait())
        watched.ref = True
        print(watched.ref, fibril.wait(timeout=0.001))
    """)
    assert out == "False True\nTrue False\n"


def test_a_signal_handler_is_no_reason_to_give_up_waiting(interpreter: Interpreter) -> None:
    """gevent says LoopExit there: the handler could set the event, and here it does."""
    out = interpreter.out(
        program("""
        from fibril.event import Event
        event = Event()
        fibril.signal_handler(signal.SIGTERM, event.set)
        send(signal.SIGTERM)
        print(event.wait())
    """)
    )
    assert out == "True\n"


def test_what_a_signal_handler_raises_is_printed_and_raised_in_main(
    interpreter: Interpreter,
) -> None:
    done = interpreter.run(
        program("""
        class Failure(Exception): pass
        def handler():
            raise Failure("in the handler")
        fibril.signal_handler(signal.SIGUSR1, handler)
        send(signal.SIGUSR1)
        try:
            fibril.sleep(30)
        except Failure as error:
            print("main:", error)
    """)
    )
    assert (done.status, done.out) == (0, "main: in the handler\n")
    assert "Failure: in the handler" in done.err


def test_a_signal_handler_may_take_the_place_of_ctrl_c(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        main = fibril.getcurrent()
        watched = fibril.signal_handler(signal.SIGINT, fibril.kill, main, KeyError("asked to"))
        send(signal.SIGINT)
        try:
            fibril.sleep(30)
        except KeyError as error:
            print(error)
        watched.cancel()
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """)
    )
    assert out == "'asked to'\nTrue\n"


def test_a_handler_that_cannot_be_called_is_refused(sim: Sim) -> None:
    with pytest.raises(TypeError, match="callable"):
        fibril.signal_handler(signal.SIGUSR1, "text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="illegal signal number"):
        fibril.signal_handler(-5, print)
    assert hub_signal is fibril.signal_handler


def test_a_signal_handler_that_nobody_keeps_goes_on(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import gc, os, signal, fibril
        fibril.signal_handler(signal.SIGUSR1, print, "handled")
        gc.collect()
        os.kill(os.getpid(), signal.SIGUSR1)
        fibril.wait()
    """)
    assert out == "handled\n"


# ---- Ctrl-C ----


@pytest.mark.parametrize(
    "wait",
    [
        "fibril.sleep(30)",
        "fibril.event.Event().wait(30)",
        "fibril.spawn(fibril.sleep, 30).join()",
        "fibril.spawn(fibril.sleep, 30).get()",
        "fibril.queue.Queue().get(timeout=30)",
        "fibril.lock.Semaphore(0).acquire(timeout=30)",
        "pair[0].recv(1)",
        "fibril.wait(timeout=30) or fibril.get_hub().expect(1)",
        "fibril.get_hub().wait(fibril.get_hub().loop.timer(30))",
    ],
)
def test_ctrl_c_wakes_main_from_whatever_it_waits_for(wait: str, interpreter: Interpreter) -> None:
    out = interpreter.out(
        program(f"""
        import fibril.event, fibril.lock, fibril.queue
        from fibril import socket
        pair = socket.socketpair()
        keep = fibril.spawn(fibril.sleep, 30)
        thread = send(signal.SIGINT)
        try:
            {wait}
        except KeyboardInterrupt:
            print("main is interrupted", keep.ready())
        thread.join()
        fibril.sleep(0)
        keep.kill()
    """)
    )
    assert out == "main is interrupted False\n"


def test_ctrl_c_reaches_main_while_a_native_thread_computes(interpreter: Interpreter) -> None:
    out = interpreter.out(
        program("""
        from fibril.event import Event
        is_over = []

        def compute():
            while not is_over:
                pass

        worker = threading.Thread(target=compute)
        worker.start()
        thread = send(signal.SIGINT)
        try:
            Event().wait()
        except KeyboardInterrupt:
            print("main is interrupted")
        is_over.append(1)
        worker.join()
    """)
    )
    assert out == "main is interrupted\n"


def test_ctrl_c_in_a_callback_of_the_hub_reaches_main(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, signal, fibril
        is_over = []

        def callback():
            os.kill(os.getpid(), signal.SIGINT)
            while not is_over:
                pass

        fibril.get_hub().loop.run_callback(callback)
        try:
            fibril.sleep(30)
        except KeyboardInterrupt:
            print("main is interrupted")
            is_over.append(1)
        fibril.get_hub().loop.timer(0).start(print, "the hub goes on")
        fibril.wait()
    """)
    assert out == "main is interrupted\nthe hub goes on\n"


def test_ctrl_c_that_nobody_catches_ends_the_program_as_always(interpreter: Interpreter) -> None:
    done = interpreter.run(
        program("""
        fibril.spawn(fibril.sleep, 30)
        send(signal.SIGINT)
        fibril.wait()
    """)
    )
    assert done.status == -signal.SIGINT
    assert done.err.rstrip().endswith("KeyboardInterrupt")
    assert done.err.count("Traceback") == 1


def test_pythons_own_handlers_run_promptly_while_everybody_is_parked(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(
        program("""
        from fibril.event import Event
        event = Event()

        def handler(number, frame):
            print("handled")
            fibril.spawn(event.set)

        signal.signal(signal.SIGUSR1, handler)
        task = fibril.spawn(event.wait)
        send(signal.SIGUSR1)
        print(fibril.wait([task]) == [task])
    """)
    )
    assert out == "handled\nTrue\n"


# ---- a signal that does not interrupt the sleep ----


def test_ctrl_c_from_another_thread_wakes_main_from_a_wait_for_ever(
    interpreter: Interpreter,
) -> None:
    """It is noted, but interrupts no system call of the main thread."""
    out = interpreter.out("""
        import _thread, threading, time
        from fibril.event import Event
        threading.Thread(target=lambda: (time.sleep(0.1), _thread.interrupt_main())).start()
        try:
            Event().wait()
        except KeyboardInterrupt:
            print("interrupted")
    """)
    assert out == "interrupted\n"


def test_a_signal_that_another_thread_gets_is_handled_promptly(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, threading, time
        from fibril.event import Event
        event = Event()
        signal.signal(signal.SIGUSR1, lambda *_: event.set())
        def send():
            time.sleep(0.1)
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        threading.Thread(target=send).start()
        print(event.wait())
        print(signal.set_wakeup_fd(-1))
    """)
    assert out == "True\n-1\n"


def test_a_signal_that_comes_just_before_the_hub_sleeps_is_not_lost(
    interpreter: Interpreter,
) -> None:
    """The handler is due in the very call that parks, which runs no more Python code."""
    out = interpreter.out("""
        import os, signal, fibril
        from fibril.event import Event
        event = Event()
        signal.signal(signal.SIGALRM, lambda *_: event.set())
        for microseconds in range(1, 400):
            event.clear()
            signal.setitimer(signal.ITIMER_REAL, microseconds / 1e6)
            event.wait()
        print("all came")
    """)
    assert out == "all came\n"


def test_a_program_keeps_the_wakeup_descriptor_that_it_has_set(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, signal, socket, fibril
        from fibril.event import Event
        event = Event()
        signal.signal(signal.SIGALRM, lambda *_: event.set())
        left, right = socket.socketpair()
        left.setblocking(False)
        signal.set_wakeup_fd(left.fileno())
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        event.wait()
        print(right.recv(10) == bytes([signal.SIGALRM]))
        print(signal.set_wakeup_fd(-1) == left.fileno())
    """)
    assert out == "True\nTrue\n"


def test_the_child_of_a_fork_has_a_pipe_of_its_own(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, signal, threading, time, fibril
        fibril.sleep(0.01)
        pid = os.fork()
        if pid == 0:
            event = fibril.event.Event()
            signal.signal(signal.SIGUSR1, lambda *_: event.set())
            threading.Thread(
                target=lambda: (time.sleep(0.1),
                                signal.pthread_kill(threading.get_ident(), signal.SIGUSR1))
            ).start()
            print(event.wait(), flush=True)
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
    """)
    assert out == "True\n0\n"


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="there both exchanges are C, and no test comes between them"
)
def test_a_signal_between_two_looks_for_the_programs_descriptor_is_told_to_it(
    interpreter: Interpreter,
) -> None:
    """The hub learns whose it is by putting its own there, and then the former one back."""
    out = interpreter.out("""
        import _signal, os, signal
        exchange, is_armed = _signal.set_wakeup_fd, False

        def exchange_slowly(fd, **options):
            global is_armed
            former = exchange(fd, **options)
            if is_armed and fd != there:
                is_armed = False
                signal.raise_signal(signal.SIGUSR1)
            return former

        _signal.set_wakeup_fd = exchange_slowly
        import fibril
        here, there = os.pipe()
        os.set_blocking(here, False)
        os.set_blocking(there, False)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        exchange(there)
        is_armed = True
        fibril.sleep(0.001)
        print(is_armed, os.read(here, 9) == bytes([signal.SIGUSR1]))
        """)
    assert out == "False True\n"
