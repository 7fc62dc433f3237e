"""Thousands of native threads, each with a hub of its own: each takes everything with it.

As the kernel counts descriptors and memory, and the interpreter its objects, in interpreters of
their own. Each thread makes a hub, sleeps, waits for an event of another thread and for a
descriptor, offloads a call, and leaves a parked task behind.
"""

import os

import pytest

from tests.conftest import Interpreter

IS_SANITIZED = "FIBRIL_SANITIZER" in os.environ
THREADS = 400 if IS_SANITIZED else 3000

PROGRAM = f"""
    import gc, os, sys, threading, fibril
    from fibril import native
    from fibril.event import Event

    def use_hub(go, answers):
        task = fibril.spawn(fibril.sleep, 0)
        fibril.spawn(Event().wait)  # unwound when the thread ends
        go.wait()
        fibril.joinall([task, fibril.spawn(pow, 2, 3)])
        reader, writer = os.pipe()
        fibril.spawn(os.write, writer, b"x")
        fibril._core.wait_read(reader)
        os.close(reader), os.close(writer)
        answers.append(fibril.offload(int) + LAST)

    def batch(count):
        go, answers = Event(), []
        threads = [threading.Thread(target=use_hub, args=(go, answers)) for _ in range(count)]
        for thread in threads:
            thread.start()
        go.set()
        for thread in threads:
            fibril.offload(thread.join)
        return len(answers)

    def state():
        gc.collect()
        with open("/proc/self/status") as file:
            kib = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        return len(os.listdir("/proc/self/fd")), kib, sys.getallocatedblocks()

    pool = fibril.get_hub().threadpool
    pool.size = pool.maxsize
    ended = sum(batch(50) for _ in range(10))  # malloc's arenas, what the pool's threads keep
    before = state()
    ended += sum(batch(50) for _ in range({THREADS} // 50))
    print(ended, *(now - then for now, then in zip(state(), before)))
    """


def grown(interpreter: Interpreter, last: str) -> tuple[int, ...]:
    """How many threads ended well; and what grew: descriptors, KiB, blocks of memory."""
    out = interpreter.run(PROGRAM.replace("LAST", last)).out
    return tuple(map(int, out.split()))


def refuse_growth(descriptors: int, kib: int, blocks: int) -> None:
    assert descriptors == 0
    assert blocks < THREADS // 3
    if not IS_SANITIZED:  # whose own memory grows
        assert kib < 1024, "less than 350 bytes for each thread, and its hub alone takes more"


def test_a_hub_goes_with_its_thread(interpreter: Interpreter) -> None:
    ended, *growth = grown(interpreter, "0")
    assert ended == THREADS + 500
    refuse_growth(*growth)


@pytest.mark.parametrize("last", ["1 // 0", "sys.exit()"])
def test_a_hub_goes_with_a_thread_that_fails(interpreter: Interpreter, last: str) -> None:
    ended, *growth = grown(interpreter, last)
    assert ended == 0
    refuse_growth(*growth)


LATE = """
    import _thread, contextvars, time, fibril
    from fibril.event import Event

    variable = contextvars.ContextVar("variable")
    ends = []

    class Late:
        \"\"\"Dropped with the thread's context, after its dict.\"\"\"

        def __del__(self):
            fibril.get_hub().loop.timer(100).start(int)
            fibril.spawn(Event().wait)
            fibril.sleep(0.001)
            ends.append(fibril.spawn(pow, 2, 3).get())

    def run(is_user):
        if is_user:
            fibril.sleep(0)
        variable.set(Late())

    fibril.sleep(0)
    for is_user in (False, True) * 20:  # not threading's: in 3.14 its objects own the contexts
        _thread.start_new_thread(run, (is_user,))
    mine, end = _thread.get_ident(), time.monotonic() + 15
    while len(ends) < 40 and time.monotonic() < end:
        time.sleep(0.001)
    while any(entry[0] != mine for entry in fibril._core.all_fibers()) and time.monotonic() < end:
        time.sleep(0.001)
    print(ends.count(8))
    print({entry[0] == mine for entry in fibril._core.all_fibers()})
    """


def test_what_a_destructor_does_at_the_very_end_of_a_thread_ends_with_it(
    interpreter: Interpreter,
) -> None:
    assert interpreter.out(LATE) == "40\n{True}\n"
