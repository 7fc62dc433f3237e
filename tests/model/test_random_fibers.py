"""Random programs of fibers do what the reference does. SEED=n begins there; PROGRAMS=n compares
that many; SECONDS=n as many as it can in that time: `SECONDS=600 make test K=random_fibers`."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PACKAGE_PARENT

SEED = os.environ.get("SEED", "1")
SECONDS = float(os.environ.get("SECONDS", "0"))
PROGRAMS = os.environ.get("PROGRAMS", "60") if not SECONDS else str(10**9)


@pytest.mark.timeout(SECONDS + 300)
def test_random_fibers_do_what_the_reference_does() -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.model.random_fibers"]
    done = subprocess.run(
        [*command, SEED, PROGRAMS, str(SECONDS or 250)],
        env={**os.environ, "PYTHONPATH": f"{PACKAGE_PARENT}:{os.getcwd()}", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=SECONDS + 280,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-8000:]}"
    print(done.stdout)
