"""Threads around the patch: forked in, made before it, and asked by asyncio where they run."""

import pytest

from tests.conftest import Interpreter

FORK = """
    import fibril.monkey
    fibril.monkey.patch_all()
    import os, sys, threading, fibril

    def tell():
        thread = threading.main_thread()
        print(
            threading.current_thread() is thread, thread.ident == threading.get_ident(),
            [each.name for each in threading.enumerate()] == [thread.name], thread.is_alive(),
            flush=True,
        )

    def fork():
        pid = os.fork()
        if pid == 0:
            tell()
            threading.Thread(target=fibril.spawn(tell).join).start()
            fibril.sleep(0.01)
            os._exit(0)
        os.waitpid(pid, 0)
"""


@pytest.mark.parametrize(
    "start",
    [
        "fork()",
        "fibril.spawn(fork).join()",
        "fibril.Fiber(fork).switch()",
        "fibril.spawn(lambda: (threading.current_thread(), fork())).join()",
        "thread = threading.Thread(target=fork); thread.start(); thread.join()",
        "fibril.spawn(lambda: fibril.spawn(fork).join()).join()",
    ],
)
def test_who_forks_is_the_main_thread_of_the_child(start: str, interpreter: Interpreter) -> None:
    out = interpreter.out(f"{FORK}\n    {start}\n", "-W", "ignore::DeprecationWarning")
    first, second = out.splitlines()
    assert first == "True True True True"
    assert second.startswith("False False")  # another task of the child


def test_threads_and_timers_made_before_the_patch_are_tasks(interpreter: Interpreter) -> None:
    text = """
        import threading, time
        ran = []

        def work(name):
            time.sleep(0.001)
            ran.append((name, threading.current_thread().name, threading.get_native_id() == main))

        class Own(threading.Thread):
            def run(self):
                work("own")

        main = threading.get_native_id()
        made = [
            threading.Thread(target=work, args=("plain",), name="plain"),
            threading.Thread(target=work, args=("daemon",), name="daemon", daemon=True),
            threading.Timer(0.001, work, ("timer",)),
            Own(name="own"),
        ]
        made[2].name = "timer"

        from fibril import monkey
        monkey.patch_all()
        for thread in made:
            thread.start()
        print([thread.is_alive() for thread in made])
        for thread in made:
            thread.join()
            thread.join()
        print([thread.is_alive() for thread in made])
        print(sorted(ran) == [(name, name, True) for name in ("daemon", "own", "plain", "timer")])
        for thread in made:
            try:
                thread.start()
            except RuntimeError as error:
                print(error)
        """
    again = "threads can only be started once\n" * 4
    assert interpreter.out(text) == f"{[True] * 4}\n{[False] * 4}\nTrue\n{again}"


LOOP = """
    import fibril.monkey
    fibril.monkey.patch_all()
    import asyncio, concurrent.futures, threading, time, fibril

    def work(seconds=0.01):
        time.sleep(seconds)
        return 7

    async def timed(awaitable):
        began = time.monotonic()
        answer = await asyncio.wait_for(awaitable, 20)
        print(answer, time.monotonic() - began < 10)
"""


@pytest.mark.parametrize(
    "awaitable",
    [
        "asyncio.to_thread(work)",
        "loop.run_in_executor(None, work)",
        "loop.run_in_executor(pool, work)",
        "asyncio.wrap_future(pool.submit(work))",
        "asyncio.wrap_future(by_task())",
        "asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(back(), loop).result())",
    ],
)
def test_an_answer_of_a_thread_that_is_a_task_wakes_the_loop(
    awaitable: str, interpreter: Interpreter
) -> None:
    """There is no timer that would wake it but the limit, after twenty seconds."""
    out = interpreter.out(
        LOOP
        + f"""
    async def back():
        return await asyncio.to_thread(work)

    def by_task():
        future = concurrent.futures.Future()
        fibril.spawn(lambda: future.set_result(work()))
        return future

    async def main():
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            await timed({awaitable})

    asyncio.run(main())
    fibril.spawn(asyncio.run, main()).join()
    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    thread.join()
    """
    )
    assert out == "7 True\n" * 3


def test_a_greenlet_of_the_loops_is_in_the_loop(interpreter: Interpreter) -> None:
    """What it completes is complete at once where asyncio tells, and soon elsewhere."""
    out = interpreter.out(
        LOOP
        + """
    async def main():
        future = concurrent.futures.Future()
        waiter = asyncio.wrap_future(future)
        fibril.Fiber(future.set_result).switch(7)
        await timed(waiter)

    asyncio.run(main())
    """
    )
    assert out == "7 True\n"


def test_a_cancelled_waiter_cancels_what_a_thread_was_to_do(interpreter: Interpreter) -> None:
    out = interpreter.out(
        LOOP
        + """
    async def main():
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first, second = (pool.submit(work, 0.05) for _ in range(2))
            waiter = asyncio.wrap_future(second)
            await asyncio.sleep(0)
            waiter.cancel()
            await asyncio.sleep(0.01)
            print(second.cancelled(), first.cancelled())

    asyncio.run(main())
    """
    )
    assert out == "True False\n"


def test_the_standard_librarys_own_locals_are_each_tasks_own(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import asyncio, multiprocessing.util as util, sys
        from fibril import monkey
        monkey.patch_all()
        import fibril
        kept = util.ForkAwareLocal()
        kept.value = 1
        print(fibril.spawn(hasattr, kept, "value").get(), type(kept).__qualname__)
        if sys.version_info < (3, 14):
            local = asyncio.DefaultEventLoopPolicy()._local
            local.number = 1
            print(fibril.spawn(hasattr, local, "number").get(), local._set_called)
        else:
            print("False False")
    """)
    assert out == "False ForkAwareLocal\nFalse False\n"


def test_the_former_main_thread_has_ended_in_the_child_of_a_threads_fork(
    interpreter: Interpreter,
) -> None:
    program = """
        from fibril import monkey
        monkey.patch_all()
        import os, threading
        main = threading.main_thread()
        def work():
            pid = os.fork()
            if pid:
                assert os.waitpid(pid, 0)[1] == 0
                return
            main.join()
            print(main.is_alive(), threading.main_thread() is main, flush=True)
        threading.Thread(target=work).start()
        """
    assert interpreter.out(program) == "False False\n"
