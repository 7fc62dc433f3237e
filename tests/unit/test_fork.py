"""os.fork: the child has the fiber that forked and no other, and a hub that works anew."""

import textwrap

from tests.conftest import Interpreter

PRELUDE = """
import os, signal, sys, threading, time, fibril
from fibril import Fiber, FiberError, Timeout, getcurrent, get_hub, sleep, spawn
from fibril._core import wait_read, wait_write
from fibril.event import Event
from fibril.queue import Queue

signal.alarm(20)  # a child that hangs is ended

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def run(interpreter: Interpreter, program: str) -> str:
    # From 3.12 on a fork beside other threads is warned of.
    return interpreter.out(PRELUDE + textwrap.dedent(program), "-W", "ignore::DeprecationWarning")


def test_other_fibers_stay_in_the_parent(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        tasks = [spawn(lambda: (sleep(0.05), say("task runs", os.getpid() == parent)))]
        tasks.append(fibril.spawn_later(0.05, lambda: say("later", os.getpid() == parent)))
        parent = os.getpid()
        fiber = Fiber(lambda: getcurrent().parent.switch())
        fiber.switch()
        sleep(0)
        if not (pid := os.fork()):
            sleep(0.1)
            say("child:", [task.dead for task in tasks], fiber.dead, get_hub().parked())
            for use in (tasks[0].join, tasks[1].get, fiber.switch, fiber.throw):
                try:
                    use()
                except FiberError as error:
                    say("FiberError", "parent" in str(error) or "fork" in str(error))
            tasks[0].kill(block=False); fibril.kill(tasks[1]); fibril.kill(fiber)
            say(spawn(lambda: sleep(0.01) or "new task").get())
            os._exit(5)
        say("status", status_of(pid))
        fibril.joinall(tasks)
    """,
    )
    assert out == (
        "child: [True, True] True []\n" + "FiberError True\n" * 4 + "new task\n"
        "status 5\nlater True\ntask runs True\n"
    )


def test_the_child_waits_for_descriptors_with_a_poller_of_its_own(
    interpreter: Interpreter,
) -> None:
    out = run(
        interpreter,
        """
        reader, writer = os.pipe()
        waiting = spawn(wait_read, reader, 10)
        sleep(0.01)
        if not (pid := os.fork()):
            inner_reader, inner_writer = os.pipe()
            spawn(os.write, inner_writer, b"x")
            say("child", wait_read(inner_reader, 5), wait_read(reader, 0.01))
            fibril._core.fd_forget(reader)
            os.close(reader)
            os._exit(0)
        say("status", status_of(pid))
        sleep(0.01)
        say("parent", waiting.ready())
        os.write(writer, b"x")
        say("parent", waiting.get())
    """,
    )
    assert out == "child True False\nstatus 0\nparent False\nparent True\n"


def test_both_sides_talk_through_pipes(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        there, back = os.pipe(), os.pipe()
        def read(fd):
            wait_read(fd, 10)
            return os.read(fd, 100)
        spawn(sleep, 100)
        sleep(0)
        if not (pid := os.fork()):
            for _ in range(50):
                os.write(back[1], read(there[0]).upper())
            os._exit(0)
        for number in range(50):
            os.write(there[1], b"ping%d" % number)
            assert read(back[0]) == b"PING%d" % number
        say("status", status_of(pid))
    """,
    )
    assert out == "status 0\n"


def test_a_task_that_forks_and_returns_ends_the_child_with_status_0(
    interpreter: Interpreter,
) -> None:
    out = run(
        interpreter,
        """
        def fork():
            pid = os.fork()
            if not pid:
                print("buffered in the child")
                return
            say("status", status_of(pid))
        task = spawn(fork)
        task.join()
        spawn(lambda: spawn(fork).join()).join()
        say("main goes on")
    """,
    )
    assert out == ("buffered in the child\nstatus 0\n" * 2) + "main goes on\n"


def test_the_child_of_a_task_may_wait_and_spawn_before_it_ends(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        def fork():
            if pid := os.fork():
                return status_of(pid)
            sleep(0.01)
            task = spawn(lambda: sleep(0.01) or "grandtask")
            say(task.get())
            spawn(lambda: (sleep(0.01), say("outlives the forking task")))
        say("status", spawn(fork).get())
    """,
    )
    assert out == "grandtask\noutlives the forking task\nstatus 0\n"


def test_how_the_forking_task_ends_is_the_status_of_the_child(interpreter: Interpreter) -> None:
    done = interpreter.run(
        PRELUDE
        + textwrap.dedent("""
        def fork(end):
            if pid := os.fork():
                return status_of(pid)
            end()
        def fail():
            raise ValueError("in the child")
        def interrupt():
            raise KeyboardInterrupt
        for end in (fail, lambda: sys.exit(3), lambda: sys.exit("text"), lambda: sys.exit(),
                    lambda: getcurrent().kill()):
            say(spawn(fork, end).get())
        say(spawn(fork, interrupt).get() != 0)
        """)
    )
    assert done.status == 0, done.err
    assert done.out.split("\n")[1:] == ["3", "1", "0", "0", "True", ""]
    assert done.err.count("ValueError: in the child") == 1
    assert "text" in done.err


def test_a_plain_fiber_that_forks_and_returns_ends_the_child(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        def fork():
            pid = os.fork()
            if pid:
                return status_of(pid)
            say("child returns")
        say("status", Fiber(fork).switch())
        say("status", Fiber(lambda: Fiber(fork).switch()).switch())
    """,
    )
    assert out == "child returns\nstatus 0\n" * 2


def test_a_callback_of_the_hub_may_fork(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        statuses = []
        def fork():
            if pid := os.fork():
                statuses.append(status_of(pid))
            else:
                say("child")
        get_hub().call_soon(fork)
        sleep(0.01)
        say("status", statuses)
        get_hub().call_soon(say, "the hub works")
        sleep(0)
    """,
    )
    assert out == "child\nstatus [0]\nthe hub works\n"


def test_a_child_may_fork_again(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        def generation(number):
            if number == 4:
                return
            if pid := os.fork():
                status = status_of(pid)
                say("generation", number, "status", status)
            else:
                sleep(0.001)
                spawn(generation, number + 1).join()
        spawn(generation, 0).join()
    """,
    )
    assert out.count("status 0") == 4
    assert out.endswith("generation 0 status 0\n")


def test_timeouts_of_the_forking_fiber_go_on_and_others_do_not(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        def other():
            with Timeout(0.02, False):
                sleep(10)
            say("other", os.getpid() == parent)
        parent = os.getpid()
        spawn(other)
        sleep(0)
        with Timeout(0.05, False):
            pid = os.fork()
            sleep(10)
        say("struck", os.getpid() == parent)
        if not pid:
            os._exit(0)
        say("status", status_of(pid))
    """,
    )
    lines = sorted(out.rstrip("\n").split("\n"))
    assert lines == ["other True", "status 0", "struck False", "struck True"]


def test_threads_with_hubs_of_their_own_stay_in_the_parent(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        reader, writer = os.pipe()
        def serve():
            tasks = [spawn(sleep, 0.2) for _ in range(5)] + [spawn(wait_read, reader, 10)]
            Fiber(lambda: sleep(0.1)).switch()
        def busy():
            end = time.monotonic() + 0.3
            Fiber(lambda: [0 for _ in iter(lambda: time.monotonic() < end, False)]).switch()
        threads = [threading.Thread(target=serve) for _ in range(3)]
        threads += [threading.Thread(target=busy) for _ in range(2)]
        for thread in threads:
            thread.start()
        sleep(0.02)
        for _ in range(5):
            if not (pid := os.fork()):
                assert spawn(lambda: sleep(0.01) or 1).get() == 1
                inner = threading.Thread(target=lambda: say(spawn(lambda: "child thread").get()))
                inner.start()
                inner.join()
                os._exit(0)
            assert status_of(pid) == 0
        for thread in threads:
            thread.join()
        say("parent")
    """,
    )
    assert out == "child thread\n" * 5 + "parent\n"


def test_a_thread_that_forks_is_the_only_one_in_the_child(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        spawn(sleep, 100)
        sleep(0)
        def work():
            def fork():
                if pid := os.fork():
                    return status_of(pid)
                sleep(0.01)
                say("child", spawn(lambda: "task").get())
            say("status", spawn(fork).get())
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    """,
    )
    assert out == "child task\nstatus 0\n"


def test_primitives_in_which_lost_fibers_wait_still_work_in_the_child(
    interpreter: Interpreter,
) -> None:
    out = run(
        interpreter,
        """
        event, queue = Event(), Queue()
        spawn(event.wait); spawn(queue.get)
        sleep(0)
        if not (pid := os.fork()):
            queue.put("item")
            say(queue.get(timeout=1))
            event.set()
            say(spawn(event.wait).get())
            os._exit(0)
        say("status", status_of(pid))
        queue.put(1); event.set()
        sleep(0)
        say(get_hub().parked())
    """,
    )
    assert out == "item\nTrue\nstatus 0\n[]\n"


def test_collecting_in_the_child_does_not_run_the_parents_finally_blocks(
    interpreter: Interpreter,
) -> None:
    out = run(
        interpreter,
        """
        import gc
        def work(name):
            me = getcurrent()
            try:
                me.parent.switch() if name == "fiber" else sleep(100)
            finally:
                say("finally", name, os.getpid() == parent)
        parent = os.getpid()
        fiber = Fiber(work); fiber.switch("fiber")
        task = spawn(work, "task"); sleep(0)
        pid = os.fork()
        del fiber
        if not pid:
            del task
            for _ in range(3):
                gc.collect(); sleep(0)
            os._exit(0)
        say("status", status_of(pid))
        gc.collect()
        task.kill()
    """,
    )
    lines = sorted(out.rstrip("\n").split("\n"))
    assert lines == ["finally fiber True", "finally task True", "status 0"]


def test_multiprocessing_by_fork_works(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        import multiprocessing
        def work(number):
            return spawn(lambda: sleep(0.01) or number * 2).get()
        def child(pipe):
            pipe.send([work(1), work(2)])
        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            spawn(sleep, 100); sleep(0)
            ours, theirs = context.Pipe()
            process = context.Process(target=child, args=(theirs,))
            process.start()
            say(ours.recv())
            process.join()
            say(process.exitcode)
    """,
    )
    assert out == "[2, 4]\n0\n"


def test_a_dead_end_in_the_child_is_told_and_ends_it(interpreter: Interpreter) -> None:
    done = interpreter.run(
        PRELUDE
        + textwrap.dedent("""
        def fork():
            if pid := os.fork():
                return status_of(pid)
            Event().wait()
        say("status", spawn(fork).get())
        """)
    )
    assert done.out == "status 1\n"
    assert "would block forever" in done.err


def test_a_fork_that_keeps_them_has_all_fibers_go_on_in_both(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        mine, yours = os.pipe(), os.pipe()
        queue, event = Queue(), Event()
        told = []

        def reading():
            wait_read(mine[0])  # of this process: which one is known later
            return "read"

        def timed():
            try:
                with Timeout(0.02):
                    event.wait()
            except Timeout:
                return "timed out"

        fiber = Fiber(lambda: getcurrent().parent.switch() or "left by hand")
        fiber.switch()
        tasks = [spawn(reading), spawn(timed), spawn(queue.get)]
        tasks.append(spawn(lambda: sleep(0.01) or "slept"))
        timer = get_hub().loop.timer(0.01)
        timer.start(told.append, "timer")
        sleep(0)
        unstarted = spawn(lambda: "started")
        pid = fibril.fork(keep=True)
        if pid:  # the child has read by then: one byte, for both, of which it takes none
            status = status_of(pid)
        os.write(mine[1], b"x")
        queue.put("got")
        sleep(0.03)
        say([task.get() for task in tasks], unstarted.get(), fiber.switch(), told)
        say(spawn(lambda: sleep(0.001) or "new").get(), get_hub().parked() == [])
        if not pid:
            os._exit(5)
        say(status)
    """,
    )
    line = "['read', 'timed out', 'got', 'slept'] started left by hand ['timer']\nnew True\n"
    assert out == 2 * line + "5\n"


def test_it_keeps_none_of_another_thread_and_no_child_of_the_parents(
    interpreter: Interpreter,
) -> None:
    out = run(
        interpreter,
        """
        from fibril import os as ours
        from fibril.native import start_new_thread
        elsewhere, there = [], Event()

        def other():
            elsewhere.append(spawn(sleep, 20))
            there.set()
            sleep(20)

        start_new_thread(other, ())
        there.wait()
        ended, go = [], os.pipe()
        child = ours.fork_and_watch(ended.append)
        if child == 0:
            os._exit(len(os.read(go[0], 3)))
        waiting = spawn(fibril.offload, time.sleep, 0.1)
        sleep(0.01)
        pid = fibril.fork(keep=True)
        if pid:
            os.write(go[1], b"x")
        else:
            say(elsewhere[0].dead, waiting.dead, get_hub().loop.activecnt)
            sleep(0.05)
            say(ended)
            os._exit(fibril.offload(lambda: 4))
        again = fibril.fork()  # the next one keeps nothing
        if not again:
            os._exit(waiting.dead)
        say(status_of(pid), status_of(again), waiting.get(), ours.waitpid(child, 0)[1] >> 8)
        say([each.pid == child for each in ended])
    """,
    )
    assert out == "True False 0\n[]\n4 1 None 1\n[True]\n"
