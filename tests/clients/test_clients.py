"""Clients of real servers, as they are, in tasks of a patched program: see run_client.py.

CLIENTS_ALL=1: what is missing, a server or a library, is a failure, and not a skip. SEED=n repeats
a run; CLIENTS_PART=2/5: each fifth file, from the second on; CLIENTS_ON=gevent: on the real gevent.
"""

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.clients.clients import CALM, CLIENTS, TLS_KINDS
from tests.clients.servers import Missing, Park

LIMIT_S = 300
TOP = Path(__file__).parents[2]
HERE = Path(__file__).parent

pytestmark = [pytest.mark.clients, pytest.mark.timeout(LIMIT_S + 200)]


def part_of(names: list[str]) -> list[str]:
    """CLIENTS_PART=2/5: each fifth of them, from the second on; for CI, another one each day."""
    number, _, count = (os.environ.get("CLIENTS_PART") or "0/1").partition("/")
    return names[int(number) % int(count) :: int(count)]


def chosen() -> list[tuple[str, str]]:
    names = part_of(sorted(CLIENTS))
    clients = [f"{name}.{kind}" for name in names for kind in CLIENTS[name].kinds]
    return [
        (client, trial)
        for client in clients
        for trial in ("crowd", "storm")
        if trial == "crowd" or client not in CALM
    ]


def miss(reason: str) -> NoReturn:
    if os.environ.get("CLIENTS_ALL"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def run(client: str, trial: str, park: Park) -> tuple[bool, str]:
    """Is all well, and what was said."""
    name, _, kind = client.partition(".")
    entry = CLIENTS[name]
    if importlib.util.find_spec(name) is None:
        miss(f"{name} is not installed here")
    try:
        place = park.place(entry.server, kind in TLS_KINDS)
    except Missing as missing:
        miss(str(missing))
    seed = os.environ.get("SEED") or str(random.randrange(1 << 32))
    command = [sys.executable, "-m", "tests.clients.run_client", client, trial, seed]
    command.append(json.dumps(place._asdict()))
    command += ["--on", os.environ["CLIENTS_ON"]] if "CLIENTS_ON" in os.environ else []
    try:
        done = subprocess.run(
            command, cwd=TOP, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        return (
            False,
            f"still running after {LIMIT_S} s\n{error.stdout!r:.3000}\n{error.stderr!r:.3000}",
        )
    said = f"{done.stdout}\n{done.stderr[-4000:]}\nexit status {done.returncode}: {command}"
    return done.returncode == 0, said


@pytest.mark.parametrize(("client", "trial"), chosen())
def test_a_client_of_a_real_server(client: str, trial: str, park: Park) -> None:
    is_well, said = run(client, trial, park)
    print(said)
    if not is_well:
        pytest.fail(said, pytrace=False)


def test_each_file_is_listed() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in HERE.glob("*.py")}
    files = {
        name for name in texts if re.search(r"^class \w+\(Client\)", texts[name], re.MULTILINE)
    }
    assert files - {"careless"} == set(CLIENTS)


def test_each_class_is_listed() -> None:
    for name, entry in CLIENTS.items():
        text = (HERE / f"{name}.py").read_text(encoding="utf-8")
        assert set(entry.kinds) == set(re.findall(r"^class (\w+)\(", text, re.MULTILINE))
