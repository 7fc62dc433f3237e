"""Nothing is lost between eight native threads. HANDOVERS=n makes that many, SEED=n with other
kills: `HANDOVERS=10000000 make test K=handovers` takes some minutes, and a few GB.
"""

import os
import subprocess
import sys

import pytest

from tests.conftest import LIMIT_S, PACKAGE_PARENT

SEED = os.environ.get("SEED", "1")
COUNT = int(os.environ.get("HANDOVERS", "100000"))
LIMIT = LIMIT_S + COUNT / 5_000


@pytest.mark.timeout(LIMIT + 20)
def test_eight_threads_lose_nothing_that_they_hand_over() -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.model.handovers"]
    done = subprocess.run(
        [*command, str(COUNT), SEED],
        env={**os.environ, "PYTHONPATH": f"{PACKAGE_PARENT}:{os.getcwd()}"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-8000:]}"
    print(done.stdout)
