"""Random programs crash nothing. SEED=n runs one seed; PROGRAMS=n runs that many others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LIMIT_S, PACKAGE_PARENT

PROGRAM = Path(__file__).with_name("random_program.py")
FIRST = int(os.environ.get("SEED", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("PROGRAMS", "1" if "SEED" in os.environ else "30")))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_does_not_crash(seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(PROGRAM), str(seed), "2000"],
        env={**os.environ, "PYTHONPATH": PACKAGE_PARENT, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"alive {seed}\n"), f"SEED={seed}\n{done.stderr}"
