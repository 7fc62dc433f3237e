"""Fibers that are parked inside machine code of CPython's compiler, which is given up meanwhile.

Not by replacing a function's __code__, though: that crashes CPython 3.15.0 without fibril as well.
"""

import sys

import pytest

from tests.conftest import Interpreter

JIT = getattr(sys, "_jit", None)  # 3.14 and later; most builds come without the compiler

pytestmark = pytest.mark.skipif(
    JIT is None or not JIT.is_available(), reason="this Python has no compiler to machine code"
)

PRELUDE = """
    import gc, sys, fibril

    def make(factor):
        # A function with code of its own, so that the machine code goes when it goes.
        switch = fibril.getcurrent().switch
        names = {"switch": switch, "is_active": sys._jit.is_active, "seen": seen}
        exec(SOURCE.replace("FACTOR", str(factor)), names)
        return names

    SOURCE = '''
    def work(limit):
        total = 0
        for i in range(limit):
            total += i * FACTOR
            switch(total)
            seen.add(is_active())
        return total
    '''
    seen = set()
    LIMIT = 6000

    def finish(fiber, factor):
        while not fiber.dead:
            total = fiber.switch()
        return total == factor * sum(range(LIMIT))
"""


def test_fibers_inside_machine_code_go_on_where_they_were(interpreter: Interpreter) -> None:
    program = """
    fibers = [fibril.Fiber(make(n)["work"]) for n in range(5)]
    for fiber in fibers:
        fiber.switch(LIMIT)
    for _ in range(LIMIT // 2):
        for fiber in fibers:
            fiber.switch()
    gc.collect()
    print(all(finish(fiber, n) for n, fiber in enumerate(fibers)), True in seen)
    """
    assert interpreter.out(PRELUDE + program, PYTHON_JIT="1") == "True True\n"


def test_machine_code_that_is_given_up_lives_until_its_fibers_have_left(
    interpreter: Interpreter,
) -> None:
    """CPython frees what was given up after a hundred pieces, if nobody is known to be inside."""
    program = """
    def start(n):
        names = make(n)
        fiber = fibril.Fiber(names["work"])
        fiber.switch(LIMIT)
        for _ in range(LIMIT - 500):
            fiber.switch()
        return names, fiber

    def wrap(switch):
        return lambda total: switch(total)

    started = [start(n) for n in range(150)]
    for names, _ in started:
        names["switch"] = wrap(names["switch"])  # the machine code relied on what it was
    for n in range(150):
        start(n)  # dropped at once, it is unwound inside its machine code
    gc.collect()
    print(all(finish(fiber, n) for n, (_, fiber) in enumerate(started)), True in seen)
    """
    assert interpreter.out(PRELUDE + program, PYTHON_JIT="1") == "True True\n"
