"""A small soak in the usual tests; `make soak` is the long one."""

import os
import subprocess
import sys

from tests.conftest import PACKAGE_PARENT, SLOWDOWN

SEED = os.environ.get("SEED", "1")


def test_connections_and_children_leave_nothing() -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.soak.soak", SEED]
    done = subprocess.run(
        [*command, "2", "60", "6"],
        env={**os.environ, "PYTHONPATH": f"{PACKAGE_PARENT}:{os.getcwd()}"},
        capture_output=True,
        text=True,
        timeout=140 * SLOWDOWN,
        check=False,
    )
    assert done.returncode == 0, f"seed {SEED}\n{done.stdout}\n{done.stderr[-8000:]}"
    assert done.stdout.splitlines()[-1] == "calm"
