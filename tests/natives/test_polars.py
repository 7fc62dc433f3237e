"""polars (Rust's stacker): deep expressions in fibers, wherever their stacks lie."""

import textwrap
from collections.abc import Callable

import pytest

from tests.conftest import Interpreter

pytestmark = pytest.mark.natives
pytest.importorskip("polars", reason="polars has no wheel here")

START = """
import mmap, threading
import polars as pl
import fibril
fibril.stack_size(8 << 20)
def add(count=500):
    expression = pl.col("a")
    for _ in range(count):
        expression = expression + 1
    return pl.DataFrame({"a": [1]}).lazy().select(expression).collect().item()
def check():
    return [task.get() for task in [fibril.spawn(add) for _ in range(3)]]
"""


@pytest.fixture
def run(interpreter: Interpreter) -> Callable[[str], str]:
    def run(text: str) -> str:
        done = interpreter.run(START + textwrap.dedent(text))
        assert done.status == 0, done  # on stderr: that it computes for long
        return str(done.out)

    return run


def test_a_deep_expression_in_tasks(run: Callable[[str], str]) -> None:
    assert run("print(check())") == "[501, 501, 501]\n"


@pytest.mark.parametrize("where", ["above", "below"])
def test_in_a_thread_whose_stack_lies_elsewhere(run: Callable[[str], str], where: str) -> None:
    assert (
        run(f"""
        hole = mmap.mmap(-1, 2 << 30, flags=0x4022)  # private, anonymous, without memory
        go, ready = threading.Event(), threading.Event()
        threading.stack_size(8 << 20)
        out = []
        thread = threading.Thread(target=lambda: (ready.set(), go.wait(), out.append(check())))
        thread.start()
        ready.wait()
        if {where == "above"}: hole.close()  # so the next mapping lies above the thread's stack
        go.set(); thread.join()
        print(out)
    """)
        == "[[501, 501, 501]]\n"
    )
