"""One of eventlet's test files in a process of its own, with fibril's eventlet or the real one.

The process writes down each test as it goes (recorded.py), and is observed as one of CPython's test
files is, in tests/stdlib.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from tests.eventlet_suite import place
from tests.stdlib.one_file import Run, observe

PROGRAM = str(Path(__file__).with_name("recorded.py"))
SILENCE_S = 70  # eventlet's longest test has 60


def run(
    file: str,
    tests: Iterable[str] = (),
    ignored: Iterable[str] = (),
    *,
    is_control: bool = False,
) -> Run:
    """Run those tests of the file, or all but the ignored ones."""
    python = place.CONTROL_PYTHON if is_control else sys.executable
    chosen = [path_of(file, test) for test in tests] or [path_of(file, file)]
    left_out = [f"--deselect={path_of(file, test)}" for test in ignored]
    return observe(
        file,
        lambda path: [python, "-X", "faulthandler", PROGRAM, str(path), *left_out, *chosen],
        place.variables(is_control=is_control),
        silence_s=SILENCE_S,
    )


def path_of(file: str, test: str) -> str:
    """As pytest calls it."""
    return f"tests/{file}.py{test.removeprefix(file)}"
