"""An interpreter of its own (PEP 734), run by a task: recursion in it is refused, no crash.

It has a thread state of its own, which CPython makes when it is entered; from 3.14 on that has the
bounds of the stack, for which pthread is asked: see csrc/bounds.c.
"""

import pytest

from tests.conftest import Interpreter

PROGRAM = """
    import fibril
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters

    def work():
        one = interpreters.create()
        interpreters.run_string(one, "state = 1")
        fibril.sleep(0)  # it is kept while others run
        interpreters.run_string(one, {text!r})
        fibril.sleep(0)
        interpreters.destroy(one)

    fibril.joinall([fibril.spawn(work) for _ in range(3)], raise_error=True)
"""

# A hole in the address space is kept until the thread has its stack, below it.
ABOVE = """
    import mmap, threading, fibril
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters

    def work():
        one = interpreters.create()
        interpreters.run_string(one, {text!r})
        interpreters.destroy(one)

    def main():
        is_open.wait()
        fibril.spawn(work).get()

    is_open = threading.Event()
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    small = [mmap.mmap(-1, 8 << 20, flags=private) for _ in range(40)]
    large = mmap.mmap(-1, 2 << 30, flags=private | 0x4000)  # MAP_NORESERVE
    thread = threading.Thread(target=main)
    thread.start()
    large.close()
    is_open.set()
    thread.join()
"""

DEEP = "nested = []\nfor _ in range(300_000): nested = [nested]\n"
REFUSED = "try:\n    {}\nexcept RecursionError: print('refused', flush=True)\n"
FLATTEN = "while nested: nested = nested.pop()\n"  # so that its end is no matter
SORT = "def f(n): return sorted([1], key=lambda _: f(n - 1) if n else 0)\n"

HARMLESS = {
    "imports": "import argparse, json, re, threading\njson.dumps([[re.compile('(a|b)*').pattern]])",
    "some levels": SORT + "f(20)",
    "the end of a deep list": DEEP + "del nested",
    "a collection of what is deep": (
        "import gc\nfirst = nested = []\nfor _ in range(200_000): nested = [nested]\n"
        "first.append(nested)\ndel first, nested\ngc.collect()"
    ),
    "brackets": "compile('(' * 150 + ')' * 150, 'text', 'eval')",
}

# What only the stack of C limits: on 3.14 and later, that is found by its address.
DEEP_IN_C = {
    "repr": DEEP + REFUSED.format("repr(nested)") + FLATTEN,
    "json": "import json\n" + DEEP + REFUSED.format("json.dumps(nested)") + FLATTEN,
    "pickle": "import pickle\n" + DEEP + REFUSED.format("pickle.dumps(nested)") + FLATTEN,
}


def run(interpreter: Interpreter, text: str) -> str:
    """Without the watchdog: what is deep takes its time."""
    text = repr("import sys\n" + text)
    return interpreter.out(PROGRAM.replace("{text!r}", text), FIBRIL_BLOCKING_LIMIT="0")


@pytest.mark.parametrize("kind", HARMLESS)
def test_ordinary_work_of_a_subinterpreter_is_done(kind: str, interpreter: Interpreter) -> None:
    assert run(interpreter, HARMLESS[kind]) == ""


def test_recursion_through_python_is_refused(interpreter: Interpreter) -> None:
    assert run(interpreter, SORT + REFUSED.format("f(10_000)")) == "refused\n" * 3


@pytest.mark.parametrize("kind", DEEP_IN_C)
def test_recursion_in_c_is_refused(kind: str, interpreter: Interpreter) -> None:
    assert run(interpreter, DEEP_IN_C[kind]) == "refused\n" * 3


def test_what_is_deep_ends_where_the_stacks_of_fibers_lie_above_the_threads(
    interpreter: Interpreter,
) -> None:
    """Elsewhere they lie below it, and what has fewer addresses than a stack counts as full."""
    out = interpreter.out(
        ABOVE.replace("{text!r}", repr(DEEP + "del nested\nprint('ended', flush=True)")),
        FIBRIL_BLOCKING_LIMIT="0",
    )
    assert out == "ended\n"
