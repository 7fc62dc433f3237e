"""The real greenlet and fibril's print the same, whatever a program does with them.

The real one is installed for its tests (test_greenlet_suite.py): so it can be asked what it does,
and no expectation has to be written down. Addresses are not compared, nor is what fibril adds below
greenlet's own text of an error.
"""

import re
import textwrap

import pytest

from tests.compat.conftest import cpp_environment
from tests.compat.greenlet_programs import PROGRAMS, RANDOM, START
from tests.conftest import Interpreter

ON_FIBRIL = "from fibril import compat\ncompat.install()\n"
ADVICE = re.compile(r"\nHand over work with a Queue.*|(?<=Context or None), not \w+")
ADDRESS = re.compile(r"0x(\(nil\)|[0-9a-f]+)")


def printed(interpreter: Interpreter, program: str) -> str:
    done = interpreter.run(program, **cpp_environment())  # greenlet is written in C++
    assert done.status == 0, f"{done.out[-2000:]}\n{done.err[-4000:]}"
    return ADDRESS.sub("0x…", ADVICE.sub("", done.out))


def same(interpreter: Interpreter, program: str) -> None:
    """Both print it. Line by line, for a readable difference."""
    expected = printed(interpreter, program)
    assert printed(interpreter, ON_FIBRIL + program).splitlines() == expected.splitlines()
    assert expected


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_greenlets_do_the_same(interpreter: Interpreter, name: str) -> None:
    same(interpreter, START + textwrap.dedent(PROGRAMS[name]))


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_programs_do_the_same_on_both(interpreter: Interpreter, first: int) -> None:
    play = f'for seed in range({first}, {first + 50}):\n    print("seed", seed)\n    play(seed)\n'
    same(interpreter, START + RANDOM + play)
