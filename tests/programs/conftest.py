"""What runs the programs under test, and the certain end of all that a test started.

FIBRIL_TEST_RUNNER says what runs a program, one or more of these, separated by commas:
- fibril    `python -m fibril run --gevent program.py` (the default)
- shim    `python program.py` with the gevent and greenlet packages that `fibril shim` wrote
- plain   `python program.py`: the real gevent and greenlet, which proves that the tests are right

FIBRIL_TEST_PYTHON is the command of the interpreter that it runs on, as a shell reads it: one that
has no pytest, for example. Without it: the one that runs the tests.

SEED=n repeats a failed run; the seed of a failed test is in its captured output.
"""

import os
import random
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs.child import LIMIT_S, Child, Start, child_env

EXAMPLES = Path(__file__).parents[2] / "examples"
RUNNERS = os.environ.get("FIBRIL_TEST_RUNNER", "fibril").split(",")
PYTHON = shlex.split(os.environ.get("FIBRIL_TEST_PYTHON", "")) or [sys.executable]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(command, **environment)` gives a Child; all are ended after the test, last first."""
    children: list[Child] = []

    def start_child(command: list[str], **changes: str) -> Child:
        stderr = tmp_path / f"stderr-{len(children)}.txt"
        children.append(Child(command, child_env(**changes), stderr))
        return children[-1]

    yield start_child
    for child in reversed(children):
        child.close()


@pytest.fixture(params=RUNNERS)
def run_under(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The command, without the program's name, that runs a program written for gevent."""
    if request.param == "fibril":
        return [*PYTHON, "-m", "fibril", "run", "--gevent"]
    if request.param == "plain":
        return PYTHON
    packages = str(tmp_path / "shim")
    subprocess.run([*PYTHON, "-m", "fibril", "shim", packages], check=True, timeout=LIMIT_S)
    path = os.pathsep.join([packages, child_env()["PYTHONPATH"]])
    return ["env", f"PYTHONPATH={path}", *PYTHON]


@pytest.fixture
def seed() -> int:
    """SEED, or a new number; printed, so that a failure shows it."""
    number = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={number}")
    return number


@pytest.fixture
def examples() -> Path:
    """The folder of the example programs."""
    return EXAMPLES
