"""What clients do wrong is found: only therefore is it worth something to know of no fault."""

import json
import os
import subprocess
import sys

import pytest

from tests.clients.client import Place
from tests.clients.servers import TOP, relayed

pytestmark = pytest.mark.clients


@pytest.mark.parametrize(
    ("kind", "trial", "said"),
    [
        ("Right", "crowd", "\nall well\n"),
        ("Right", "storm", "\nall well\n"),
        ("InTurn", "crowd", "0 of 20 answered, wrong: {}; 1 have ever asked at once"),
        ("Mixing", "storm", ": the answer to "),
        ("Leaking", "storm", "connections at the server\nleft: descriptor "),
    ],
    ids=["Right-crowd", "Right-storm", "InTurn", "Mixing", "Leaking"],
)
def test_a_fault_is_found(kind: str, trial: str, said: str) -> None:
    with relayed(0) as ports:
        place = json.dumps(Place(*ports)._asdict())
        command = [sys.executable, "-m", "tests.clients.run_client", f"careless.{kind}", trial]
        done = subprocess.run(
            [*command, "1", place],
            cwd=TOP,
            env={**os.environ, "CLIENTS_LIMIT_S": "3"},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    assert said in done.stdout, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert done.returncode == (0 if kind == "Right" else 1)
