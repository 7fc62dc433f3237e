"""A fiber goes as deep as a native thread in every kind of recursion, and is refused as it is.

Some kinds in each process: a crash is named by the last kind that was begun. What a thread does is
asked in the same process, so that no number of a version of CPython is written down here.
"""

import sys
from pathlib import Path

import pytest

from tests.conftest import PACKAGE_PARENT, Interpreter
from tests.crash.depth_kinds import KINDS

TOP = Path(__file__).parents[2]
LEAST = 0.95  # of a thread's depth
BASE = 4  # levels: below what is measured, a thread and a fiber have not the same frames
REFUSALS = {"RecursionError", "MemoryError"}
OWN_REFUSALS = {
    "marshal": "ValueError",
    "literal_eval": "SyntaxError",
    "parse, dump and unparse": "SyntaxError",
    "compile brackets": "SyntaxError",
    "compile lists": "SyntaxError",
    "compile calls": "SyntaxError",
    "compile indented": "IndentationError",
}
RUN = """
    import sys
    from tests.crash import depth
    sys.argv[1:] = {arguments}
    depth.main()
"""


def complaint(name: str, thread: list[str], fiber: list[str]) -> str:
    """What is wrong with the depths of one kind; nothing: all is well."""
    least = int(thread[0]) * LEAST - BASE
    allowed = {*REFUSALS, *thread[1:], OWN_REFUSALS.get(name)}
    if int(fiber[0]) >= least and set(fiber[1:]) <= allowed and int(thread[0]) > BASE:
        return ""
    return f"{name}: {' '.join(fiber)} in a fiber, {' '.join(thread)} in a thread"


def complaints(interpreter: Interpreter, limit: int, names: list[str]) -> list[str]:
    program = RUN.replace("{arguments}", repr([str(limit), *names]))
    done = interpreter.run(program, PYTHONPATH=f"{PACKAGE_PARENT}:{TOP}")
    lines = done.out.split("\n")[:-1]
    found = [
        complaint(name, thread.split(), fiber.split())
        for name, thread, fiber in zip(lines[::3], lines[1::3], lines[2::3], strict=False)
    ]
    if done.status:
        found.append(f"ended with {done.status}, the last: {lines[-3:]}\n{done.err[-3000:]}")
    return [line for line in found if line]


def some(names: list[str]) -> list[list[str]]:
    return [names[at : at + 8] for at in range(0, len(names), 8)]


@pytest.mark.parametrize("names", some(list(KINDS)), ids=lambda names: names[0])
def test_a_fiber_goes_as_deep_as_a_thread(names: list[str], interpreter: Interpreter) -> None:
    assert complaints(interpreter, 0, names) == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="one count for both there: no limit of C's")
@pytest.mark.parametrize(
    "names", some([name for name in KINDS if KINDS[name].is_python]), ids=lambda names: names[0]
)
def test_it_does_where_only_the_stack_of_c_is_the_limit(
    names: list[str], interpreter: Interpreter
) -> None:
    assert complaints(interpreter, 1_000_000, names) == []
