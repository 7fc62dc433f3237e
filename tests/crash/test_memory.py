"""Memory: what a parked fiber costs, and what is left when many have ended.

As the kernel counts it, in interpreters of their own. Bounds are a tenth above what bench_memory
claims: they fail when a fiber touches one page more, and not from one run to the next.
"""

import os

import pytest

from tests.conftest import Interpreter

pytestmark = pytest.mark.skipif(
    "FIBRIL_SANITIZER" in os.environ, reason="a sanitizer's own memory is larger than all of this"
)

# Resident memory, page tables and objects, with 20,000 bare fibers that are two frames deep.
PARKED_BYTES_MAX = 9_500

# Two arenas of CPython's allocator: plain objects leave as much behind after a burst.
ARENAS_KIB = 2048

PROGRAM = """
    import gc, fibril
    from fibril import Fiber, getcurrent

    main = getcurrent()

    def kib(*fields):
        with open("/proc/self/status") as file:
            lines = dict(line.split(":", 1) for line in file)
        return sum(int(lines[field].split()[0]) for field in fields)

    def inner():
        main.switch()

    def outer():
        inner()

    def park(count, fn=outer):
        fibers = [Fiber(fn) for _ in range(count)]
        for fiber in fibers:
            fiber.switch()
        return fibers

    def burst(count):
        for fiber in park(count):
            fiber.switch()

    def touch(depth=12):
        if depth:
            sorted([1], key=lambda _: touch(depth - 1))  # 5 KiB of C stack each, in all versions

    def deep_then_parked():
        touch()
        main.switch()
        touch()
        return "alive"

    burst(100)
    gc.collect()
    before = kib("VmRSS")
"""


def test_a_parked_fiber_costs_a_page_and_its_share_of_page_tables(interpreter: Interpreter) -> None:
    out = interpreter.out(f"""{PROGRAM}
    before = kib("VmRSS", "VmPTE")
    fibers = park(20_000)
    print((kib("VmRSS", "VmPTE") - before) * 1024 // 20_000)
    for fiber in fibers:
        fiber.switch()
    """)
    assert 4096 <= int(out) <= PARKED_BYTES_MAX


@pytest.mark.parametrize(
    "burst",
    ["burst(20_000)", "fibril.joinall([fibril.spawn(fibril.sleep, 0) for _ in range(20_000)])"],
)
def test_after_a_burst_memory_is_as_before(burst: str, interpreter: Interpreter) -> None:
    out = interpreter.out(f"""{PROGRAM}
    fibril.spawn(fibril.sleep, 0).join()
    sizes = [kib("VmRSS")]
    for _ in range(3):
        {burst}
        gc.collect()
        sizes.append(kib("VmRSS"))
    print(*sizes)
    """)
    before, first, second, third = map(int, out.split())
    assert first <= before * 1.1 + ARENAS_KIB
    assert max(second, third) <= first * 1.1


def test_page_tables_go_with_the_burst(interpreter: Interpreter) -> None:
    out = interpreter.out(f"""{PROGRAM}
    sizes = [kib("VmPTE")]
    for _ in range(5):
        burst(5_000)
        sizes.append(kib("VmPTE"))
    print(*sizes)
    """)
    sizes = list(map(int, out.split()))
    assert max(sizes[2:]) <= sizes[1] + 1024


def test_what_ended_among_those_that_stay_is_given_back_when_there_is_time(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(f"""{PROGRAM}
    tasks = [fibril.spawn(fibril.sleep, 0.02 if number % 8 else 1000) for number in range(4000)]
    fibril.sleep(0)
    full = kib("VmRSS") - before
    fibril.sleep(0.5)
    print(fibril.get_hub().statistics()["stacks_dirty"], full, kib("VmRSS") - before)
    fibril.killall(tasks)
    print(fibril.get_hub().statistics()["stacks_dirty"] <= 128)
    """)
    counts, is_bounded = out.splitlines()
    dirty, full, rest = map(int, counts.split())
    assert dirty <= 1  # main went on from the stack of who ended last
    assert rest <= full / 2  # an eighth of the stacks, and the objects of all tasks
    assert is_bounded == "True"


def test_free_stacks_that_went_deep_keep_little(interpreter: Interpreter) -> None:
    out = interpreter.out(f"""{PROGRAM}
    for fiber in park(60, deep_then_parked):
        fiber.switch()
    print(kib("VmRSS") - before)
    """)
    assert int(out) <= 60 * 40 + 512  # each touched 60 KiB


def test_trim_gives_back_what_parked_fibers_touched_when_they_were_deeper(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(f"""{PROGRAM}
    fibers = park(500, deep_then_parked)
    deep = kib("VmRSS") - before
    fibril.get_hub().trim()
    print(deep, kib("VmRSS") - before)
    print({{fiber.switch() for fiber in fibers}}, fibril.get_hub().statistics()["stacks_free"] > 0)
    del fibers
    fibril.get_hub().trim()
    print(fibril.get_hub().statistics()["stacks_free"])
    """)
    sizes, alive, none = out.splitlines()
    deep, trimmed = map(int, sizes.split())
    assert deep >= 500 * 40
    assert trimmed <= 500 * 12
    assert (alive, none) == ("{'alive'} True", "0")


def test_trim_is_for_the_own_thread(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import threading, fibril
        hub = fibril.get_hub()
        def work():
            try:
                hub.trim()
            except fibril.FiberError as error:
                print(error)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        hub.trim()
        fibril.spawn(hub.trim).get()
        hub.call_soon(hub.trim)
        fibril.sleep(0)
    """)
    assert out.startswith("cannot trim the stacks of another native thread")


def test_a_thread_that_ends_takes_its_stacks_with_it(interpreter: Interpreter) -> None:
    program = f"""{PROGRAM}
    import threading
    def in_thread():
        global main
        main = getcurrent()
        burst(200)
    sizes = []
    for _ in range(20):
        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
        sizes.append(kib("VmSize"))
    print(sizes[-1] - sizes[4])
    """
    # Else malloc maps 64 MiB for a thread now and then; glibc keeps a few threads' own stacks, of 8
    # MiB. Those of one thread's fibers are 50 to 600 MiB.
    assert int(interpreter.out(program, MALLOC_ARENA_MAX="1")) <= 32_768
