"""`multiprocessing` and process pools after the patch: while one task waits, the others go on.

What each wait is for happens only when other tasks have run three turns meanwhile, so one that kept
the native thread would never end. Processes are started in all three ways.
"""

import pytest

from tests.conftest import Interpreter

METHODS = ("fork", "spawn", "forkserver")

BEGIN = """
    import fibril.monkey
    fibril.monkey.patch_all()
    import multiprocessing, os, signal, sys, threading, time, fibril
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import shared_memory

    def later(act, *args, turns=3):
        if turns == 0:
            return act(*args)
        fibril.spawn_later(0.001, later, act, *args, turns=turns - 1)
"""

WAITS = (
    BEGIN
    + """
    def wait(event):
        event.wait()
        sys.exit(3)

    def answer(connection):
        for message in iter(connection.recv, None):
            connection.send(message[::-1])

    def double(source, target):
        for number in iter(source.get, None):
            target.put(2 * number)
            source.task_done()
        source.task_done()

    def write(name, event):
        memory = shared_memory.SharedMemory(name)
        memory.buf[:4] = b"word"
        event.wait()
        memory.close()

    def take(lock, event):
        with lock:
            event.set()
            time.sleep(0.02)

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        event = context.Event()
        process = context.Process(target=wait, args=(event,))
        process.start()
        print("unfinished:", process.join(0.001), process.exitcode, process.is_alive())
        later(event.set)
        process.join()
        print("joined:", process.exitcode)

        here, there = context.Pipe()
        process = context.Process(target=answer, args=(there,))
        process.start()
        there.close()
        later(here.send, "abc")
        print("answered:", here.recv())
        later(here.send_bytes, __import__("pickle").dumps(bytes(2_000_000)))
        print("a large one:", len(here.recv()))
        here.send(None)
        process.join()

        source, target = context.JoinableQueue(), context.Queue()
        process = context.Process(target=double, args=(source, target))
        process.start()
        later(source.put, 21)
        print("doubled:", target.get())
        later(source.put, None)
        source.join()
        process.join()

        memory = shared_memory.SharedMemory(create=True, size=4)
        event.clear()
        process = context.Process(target=write, args=(memory.name, event))
        process.start()
        later(event.set)
        process.join()
        print("shared:", bytes(memory.buf[:4]))
        memory.close()
        memory.unlink()

        lock = context.Lock()
        event.clear()
        process = context.Process(target=take, args=(lock, event))
        process.start()
        event.wait()
        with lock:
            print("locked")
        process.join()
        print("children:", multiprocessing.active_children())
    """
)


@pytest.mark.parametrize("method", METHODS)
def test_others_go_on_while_processes_are_waited_for(interpreter: Interpreter, method: str) -> None:
    assert run(interpreter, WAITS, method) == [
        "unfinished: None None True",
        "joined: 3",
        "answered: cba",
        "a large one: 2000000",
        "doubled: 42",
        "shared: b'word'",
        "locked",
        "children: []",
    ]


POOLS = (
    BEGIN
    + """
    def wait_for(event, number):
        event.wait()
        return number * number

    def end():
        os.kill(os.getpid(), signal.SIGKILL)

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        with context.Manager() as manager, context.Pool(2) as pool:
            items, event = manager.list([1]), manager.Event()
            later(items.append, 2)
            later(event.set)
            event.wait()
            print("managed:", list(items), manager.dict(a=1).copy())
            event.clear()
            results = [pool.apply_async(wait_for, (event, number)) for number in range(4)]
            tasks = [fibril.spawn(result.get) for result in results]
            later(event.set)
            print("pooled:", [task.get() for task in tasks], pool.map(abs, [-1, -2]))
            with ProcessPoolExecutor(2, mp_context=context) as executor:
                event.clear()
                futures = [executor.submit(wait_for, event, number) for number in range(4)]
                later(event.set)
                print("executed:", [future.result() for future in futures])

        executor = ProcessPoolExecutor(1, mp_context=context)
        other = ProcessPoolExecutor(1, mp_context=context)
        broken = [fibril.spawn(executor.submit, end), fibril.spawn(other.submit, abs, -7)]
        asked = [fibril.spawn(task.get().exception) for task in broken]
        print("killed:", [type(task.get()).__name__ for task in asked])
        executor.shutdown()
        other.shutdown()
        print("children:", multiprocessing.active_children())
    """
)


@pytest.mark.parametrize("method", METHODS)
def test_others_go_on_while_pools_and_managers_work(interpreter: Interpreter, method: str) -> None:
    assert run(interpreter, POOLS, method) == [
        "managed: [1, 2] {'a': 1}",
        "pooled: [0, 1, 4, 9] [1, 2]",
        "executed: [0, 1, 4, 9]",
        "killed: ['BrokenProcessPool', 'NoneType']",
        "children: []",
    ]


SHARED = (
    BEGIN
    + """
    def use(connection, event):
        passed = connection.recv()
        passed.send(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        event.wait()

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        here, there = context.Pipe()
        event = context.Event()
        process = context.Process(target=use, args=(there, event))
        process.start()
        reader, writer = context.Pipe(False)
        later(here.send, writer)
        print("by way of another connection:", reader.recv())
        process.terminate()
        process.join()
        print("it heard of that:", process.exitcode)
        try:
            os.kill(os.getpid(), signal.SIGINT)
            fibril.sleep(20)
        except KeyboardInterrupt:
            print("and so do we")
    """
)


@pytest.mark.parametrize("method", METHODS)
def test_who_passes_on_a_descriptor_deafens_nobody(interpreter: Interpreter, method: str) -> None:
    """resource_sharer serves it in a thread that blocks all signals: that is a task."""
    assert run(interpreter, SHARED, method) == [
        "by way of another connection: set()",
        "it heard of that: -15",
        "and so do we",
    ]


def run(interpreter: Interpreter, program: str, method: str) -> list[str]:
    """The program's lines. What a spawned child prints on stderr would be ours."""
    program = program.replace("sys.argv[1]", repr(method))
    return interpreter.out(program).splitlines()
