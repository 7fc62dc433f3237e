"""polars (Rust's stacker): recursion that grows onto new stacks, in fibers, wherever these lie.

Stacks are small here, so that 300 levels need several: what 3,000 do on the usual ones, in less
time. A callback during the query's planning shows where the stack pointer is.
"""

import platform
import textwrap
from collections.abc import Callable

import pytest

from tests.conftest import Interpreter

pytestmark = pytest.mark.natives
pytest.importorskip("polars", reason="polars has no wheel here")

# Where the stack pointer is in what getcontext() notes.
OFFSET = {"x86_64": 160, "aarch64": 432}.get(platform.machine())
LEVELS = 300
START = f"""
import ctypes, mmap, sys, threading
import fibril
STACK = 1 << 20
fibril.stack_size(STACK)
getcontext = ctypes.CDLL(None).getcontext
def place():
    context = ctypes.create_string_buffer(4096)
    getcontext(context)
    return int.from_bytes(context[{OFFSET}:{OFFSET} + 8], "little")
def frame(value=1):
    import polars as pl
    return pl.DataFrame({{"a": [value]}}).lazy()
def add(count={LEVELS}, value=1):
    import polars as pl
    expression = pl.col("a")
    for _ in range(count):
        expression = expression + 1
    return frame(value).select(expression).collect().item() - count
def plan(callback, count=1):
    query = frame().pipe_with_schema(lambda frame, schema: (callback(), frame)[1])
    for _ in range(count):
        query = query.select("a")
    return query.collect().item()
def is_here(count=1):
    places = []
    plan(lambda: places.append(place()), count)
    return 0 <= place() - places[0] < STACK
def at_once(*calls):
    return [task.get() for task in [fibril.spawn(call) for call in calls]]
def check():
    return at_once(is_here, lambda: add(value=2), lambda: is_here({LEVELS}), lambda: add(value=3))
RIGHT = [True, 2, False, 3]
"""


@pytest.fixture
def run(interpreter: Interpreter) -> Callable[[str], str]:
    if OFFSET is None:
        pytest.skip("where getcontext() notes the stack pointer is not known here")

    def run(text: str) -> str:
        done = interpreter.run(START + textwrap.dedent(text), limit_s=120)
        assert done.status == 0, done  # on stderr: that it computes for long
        return str(done.out)

    return run


def test_a_deep_expression_in_tasks(run: Callable[[str], str]) -> None:
    assert run("print(check() == RIGHT, check() == RIGHT)") == "True True\n"


@pytest.mark.parametrize("where", ["above", "below"])
def test_in_a_thread_whose_stack_lies_elsewhere(run: Callable[[str], str], where: str) -> None:
    assert (
        run(f"""
        hole = mmap.mmap(-1, 2 << 30, flags=0x4022)  # private, anonymous, without memory
        fill = [mmap.mmap(-1, STACK, flags=0x4022) for _ in range(50)]  # other holes
        go, ready = threading.Event(), threading.Event()
        threading.stack_size(STACK)
        out = []
        def work():
            ready.set(); go.wait()
            out.append(fibril.spawn(place).get() > place())
            out.append(add())
            out.append(check() == RIGHT)
            out.append(is_here() and add())
        thread = threading.Thread(target=work)
        thread.start()
        ready.wait()
        if {where == "above"}: hole.close()  # so the next mapping lies above the thread's stack
        go.set(); thread.join()
        print(out)
    """)
        == f"[{where == 'above'}, 1, True, 1]\n"
    )


def test_tasks_that_wait_on_stacks_of_stackers_own(run: Callable[[str], str]) -> None:
    """The limit is then that of such a stack, which is gone when others still run."""
    assert (
        run("""
        events = [fibril.event.Event() for _ in range(3)]
        places = []
        def wait(number):
            def callback():
                places.append(place())
                events[number].wait()
                places.append(add(value=number))
            return plan(callback, 100)
        tasks = [fibril.spawn(wait, number) for number in range(3)]
        fibril.sleep(0)
        out = [add(), at_once(add, is_here)]
        for number in (1, 0, 2):
            events[number].set()
            out += [tasks[number].get(), at_once(add, is_here), add()]
        print(out == [1, [1, True]] + [1, [1, True], 1] * 3, places[3:], is_here())
    """)
        == "True [1, 0, 2] True\n"
    )


def test_on_the_threads_own_stack_its_end_is_that_ones(run: Callable[[str], str]) -> None:
    assert (
        run("""
        def work():
            def both():
                return [is_here(), fibril.on_main_stack(add), fibril.on_main_stack(is_here),
                        is_here(), add()]
            out.append(at_once(both))
        hole = mmap.mmap(-1, 2 << 30, flags=0x4022)
        threading.stack_size(STACK)
        out = []
        thread = threading.Thread(target=work)
        thread.start(); thread.join()
        print(out)
    """)
        == "[[[True, 1, True, True, 1]]]\n"
    )


@pytest.mark.parametrize("way", ["import polars", "at_once(add)", "thread(add)", "thread(check)"])
def test_however_it_is_imported(run: Callable[[str], str], way: str) -> None:
    assert (
        run(f"""
        def thread(call):
            thread = threading.Thread(target=call)
            thread.start(); thread.join()
        {way}
        print(check() == RIGHT)
    """)
        == "True\n"
    )


def test_imported_and_used_before_fibril_is(interpreter: Interpreter) -> None:
    before = 'import polars as pl\npl.select(pl.lit(1) + 1)\npl.col("a").meta.undo_aliases()\n'
    done = interpreter.run(f"{before}{START}\nprint(check() == RIGHT, add())", limit_s=120)
    assert (done.status, done.out) == (0, "True 1\n"), done


def test_its_import_leaves_no_thread_behind(run: Callable[[str], str]) -> None:
    assert (
        run("""
        from fibril import native
        import polars
        fibril.sleep(0.01)
        print(threading.active_count(), native.program_thread_count())
    """)
        == "1 0\n"
    )
