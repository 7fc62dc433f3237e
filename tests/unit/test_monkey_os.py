"""`os` after the patch: whoever reads, writes or waits for a child by it lets others run, also by
the original that a module, or an argument's default, has."""

from tests.conftest import Interpreter

WAITS = """
    import os, posix, signal, sys
    from os import read, waitpid  # before the patch

    def send(fd, data, write=os.write, *, also=os.write):
        return write(fd, data) + also(fd, data)

    class Kept:
        def read(self, fd, real_read=os.read):
            return real_read

        @staticmethod
        def wait(pid, wait=os.waitpid):
            return wait(pid, 0)

    native = Kept().read(0)
    from fibril import monkey
    monkey.patch_all()
    import fibril

    print(os.read is posix.read is read is not native, Kept().read(0) is native)
    turns = 0

    def count():
        global turns
        while True:
            fibril.sleep(0.0005)
            turns += 1

    fibril.spawn(count)

    def waits(act):
        before = turns
        answer = act()
        return answer, turns - before >= 2

    def later(act, *args, after=0):
        until = after or turns + 3
        if turns >= until:
            return act(*args)
        fibril.spawn_later(0.001, later, act, *args, after=until)

    reader, writer = os.pipe()
    later(os.write, writer, b"hello")
    print(waits(lambda: read(reader, 9)))
    later(os.read, reader, 65536)
    later(os.read, reader, 65536)
    print(waits(lambda: send(writer, bytes(50_000))))
    while len(os.read(reader, 65536)) == 65536:
        pass

    def ending_later():  # whoever reads this to its end
        reader, writer = os.pipe()
        os.set_inheritable(reader, True)
        later(os.close, writer)
        return reader

    def child():
        action = os.POSIX_SPAWN_DUP2, ending_later(), 0
        return os.posix_spawn("/bin/cat", ["cat"], os.environ, file_actions=[action])

    for wait in (
        lambda: waitpid(child(), 0)[1], lambda: Kept.wait(child())[1],
        lambda: (child(), os.wait())[1][1], lambda: os.system(f"cat /dev/fd/{ending_later()}"),
        lambda: os.waitid(os.P_PID, child(), os.WEXITED).si_status,
    ):
        print(waits(wait))
    os.close(writer)
    print(os.read(reader, 9), sorted(name for name in monkey.saved if name in ("os", "fcntl")))
"""


def test_whatever_waits_by_os_lets_others_run(interpreter: Interpreter) -> None:
    out = interpreter.out(WAITS)
    assert out.splitlines() == [
        "True True",
        "(b'hello', True)",
        "(100000, True)",
        *["(0, True)"] * 5,
        "b'' ['fcntl', 'os']",
    ]


def test_a_patch_asks_nothing_of_what_classes_keep(interpreter: Interpreter) -> None:
    """A proxy in a class may refuse to be asked before there is what it stands for."""
    out = interpreter.out("""
        class Proxy:
            def __getattr__(self, name):
                raise RuntimeError("there is nothing yet")

        class Kept:
            proxy = Proxy()

        from fibril import monkey
        print(monkey.patch_all())
        """)
    assert out == "True\n"


def test_pipes_of_processes_that_were_imported_before_let_others_run(
    interpreter: Interpreter,
) -> None:
    """A Connection keeps os.read and os.write in its class and in defaults of arguments."""
    out = interpreter.out("""
        import multiprocessing.connection, os
        from fibril import monkey
        monkey.patch_all()
        import fibril

        first, second = multiprocessing.connection.Pipe()
        task = fibril.spawn(second.recv)
        fibril.sleep(0.001)
        first.send("an object")
        print(task.get())
        sending = fibril.spawn(first.send_bytes, bytes(10**6))
        fibril.sleep(0.001)
        print(sending.ready(), len(second.recv_bytes()), sending.get())
        """)
    assert out == "an object\nFalse 1000000 None\n"


def test_a_process_of_multiprocessing_runs_beside_tasks(interpreter: Interpreter) -> None:
    for method in ("fork", "spawn"):
        out = interpreter.out(f"""
        import fibril.monkey
        fibril.monkey.patch_all()
        import multiprocessing, fibril

        def answer(queue, number):
            queue.put(number * 2)

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            ticks = []

            def tick():
                for _ in range(5):
                    ticks.append(1)
                    fibril.sleep(0.001)

            ticking = fibril.spawn(tick)
            queue = context.Queue()
            processes = [context.Process(target=answer, args=(queue, i)) for i in range(3)]
            for process in processes:
                process.start()
            print(sorted(queue.get() for _ in processes))
            for process in processes:
                process.join()
            ticking.join()
            print([process.exitcode for process in processes], len(ticks))
            with context.Pool(2) as pool:
                print(pool.map(abs, [-1, -2]))
        """)
        assert out == "[0, 2, 4]\n[0, 0, 0] 5\n[1, 2]\n", method


SEMAPHORES = """
    import fibril.monkey
    fibril.monkey.patch_all()
    import multiprocessing, os, threading, time, fibril
    context = multiprocessing.get_context("fork")
"""


def test_tasks_wait_for_semaphores_that_processes_share(interpreter: Interpreter) -> None:
    out = interpreter.out(
        SEMAPHORES
        + """
    lock, others = context.Lock(), []
    fibril.spawn(lambda: [(others.append(1), fibril.sleep(0.001)) for _ in range(1000)])
    lock.acquire()
    print(lock.acquire(False), lock.acquire(timeout=0.01), lock.acquire(True, -1))
    waiting = [fibril.spawn(lock.acquire) for _ in range(2)]
    fibril.sleep(0.01)
    lock.release()
    lock.release() if waiting[0].get() else None
    print(waiting[1].get(), len(others) > 3)

    def hold():
        with lock:
            time.sleep(0.02)

    lock.release()
    process = context.Process(target=hold)
    process.start()
    while lock.acquire(False):
        lock.release()
    before = len(others)
    with lock:
        print(len(others) > before)
    process.join()
    try:
        lock.release()
    except ValueError as error:
        print(error)
    killed = fibril.spawn(lambda: lock.acquire() and lock.acquire())
    fibril.sleep(0.005)
    killed.kill()
    print(lock.acquire(False))
    lock.release()
    """
    )
    assert out == (
        "False False False\nTrue True\nTrue\nsemaphore or lock released too many times\nFalse\n"
    )


def test_a_recursive_one_belongs_to_a_task_and_conditions_are_made_of_it(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(
        SEMAPHORES
        + """
    lock = context.RLock()
    order = []

    def work(name):
        with lock, lock:
            order.append(name)
            fibril.sleep(0.001)
            order.append(name)

    fibril.joinall([fibril.spawn(work, name) for name in "ab"])
    print(order in (list("aabb"), list("bbaa")))
    holder = fibril.spawn(lambda: lock.acquire() and fibril.sleep(0.01) or lock.release())
    fibril.sleep(0.001)
    try:
        lock.release()
    except AssertionError as error:
        print(error)
    print(lock.acquire(timeout=0.001), lock.acquire(), holder.ready())

    def child(lock, ready):
        ready.set()
        with lock:
            os._exit(3)

    ready = context.Event()
    process = context.Process(target=child, args=(lock, ready))
    process.start()
    ready.wait()
    lock.release()
    process.join()
    print(process.exitcode)
    condition, barrier = context.Condition(), context.Barrier(2)

    def notify():
        with condition:
            condition.notify()
        barrier.wait()

    with condition:
        threading.Thread(target=notify).start()
        print(condition.wait(20))
    print(barrier.wait() in (0, 1))
    """
    )
    refused = "attempt to release recursive lock not owned by thread"
    assert out == f"True\n{refused}\nFalse True True\n3\nTrue\nTrue\n"


def test_whose_semaphore_it_is_is_asked_of_the_task(interpreter: Interpreter) -> None:
    """A condition asks, before it gives back what the waiting task does not have."""
    out = interpreter.out(
        SEMAPHORES
        + """
    for lock in context.Lock(), context.RLock():
        condition = context.Condition(lock)
        print(lock)
        task = fibril.spawn(lambda: [lock.acquire(), repr(lock), fibril.sleep(0.01)][1])
        fibril.sleep(0.001)
        print(lock)
        try:
            condition.wait(0)
        except AssertionError as error:
            print(error)
        print(task.get())
    """
    )
    refused = "must acquire() condition before using wait()"
    assert out == (
        f"<Lock(owner=None)>\n<Lock(owner=SomeOtherThread)>\n{refused}\n<Lock(owner=MainProcess|"
        f"Dummy-1)>\n<RLock(None, 0)>\n<RLock(SomeOtherThread, nonzero)>\n{refused}\n"
        "<RLock(MainProcess|Dummy-2, 1)>\n"
    )


def test_processes_are_waited_for_by_their_pidfds(interpreter: Interpreter) -> None:
    """No busy loop: how often the clock is slept on is counted."""
    out = interpreter.out("""
        import fibril.monkey
        fibril.monkey.patch_all()
        import os, subprocess, sys, time, fibril

        sleeps = []
        sleep = time.sleep
        time.sleep = lambda seconds: sleeps.append(seconds) or sleep(seconds)

        def start():
            return subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        process = start()
        try:
            process.wait(timeout=0.01)
        except subprocess.TimeoutExpired as error:
            print(error.timeout)
        waiting = [fibril.spawn(process.wait, 30), fibril.spawn(process.wait)]
        fibril.sleep(0.005)
        print(process.poll(), [task.ready() for task in waiting])
        process.stdin.close()
        print([task.get() for task in waiting], process.poll(), process.wait(0))
        process.stdout.close()
        tasks = [fibril.spawn(start().communicate, bytes(100_000), 30) for _ in range(5)]
        print([len(task.get()[0]) for task in tasks])
        print(subprocess.run(["sh", "-c", "exit 3"], timeout=30).returncode)
        try:
            subprocess.run(["sleep", "60"], timeout=0.01)
        except subprocess.TimeoutExpired:
            print("killed")
        process = subprocess.Popen(["true"])
        os.waitpid(process.pid, 0)
        print(process.wait(5))
        with subprocess.Popen(["sleep", "60"]) as process:
            fibril.spawn_later(0.005, process.kill)
        print(process.returncode, len(sleeps))
        """)
    assert out.splitlines() == [
        "0.01",
        "None [False, False]",
        "[0, 0] 0 0",
        "[100000, 100000, 100000, 100000, 100000]",
        "3",
        "killed",
        "0",
        "-9 0",
    ]
