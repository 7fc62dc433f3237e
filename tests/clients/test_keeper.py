"""What the tests of clients count on: servers that end, and a gate that opens for all or nobody."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.client import Question
from tests.clients.servers import TOP, relayed

LIMIT_S = 30
pytestmark = pytest.mark.clients


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_whoever_a_server_has_started_ends_when_the_tests_are_killed(tmp_path: Path) -> None:
    program = f"""if True:
        import sys, time
        from pathlib import Path
        from tests.clients.servers import keep
        folder = Path({str(tmp_path)!r}) / "server"
        folder.mkdir()
        keep(folder, "SIGTERM", [sys.executable, "-c", '''if True:
            import os, signal, subprocess, sys, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            other = subprocess.Popen(["sleep", "600"], start_new_session=True)
            with open({str(tmp_path / "pids")!r}, "w", encoding="ascii") as file:
                file.write(f"{{os.getpid()}} {{other.pid}} .")
            time.sleep(600)
        '''])
        time.sleep(600)
    """
    tests = subprocess.Popen([sys.executable, "-c", program], cwd=TOP)
    pids = tmp_path / "pids"
    deadline = time.monotonic() + LIMIT_S
    while (
        not (pids.exists() and pids.read_text("ascii").endswith("."))
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    server, other, _ = pids.read_text("ascii").split()
    while (is_alive(int(server)) or is_alive(int(other))) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(int(server))
    assert not is_alive(int(other))
    while (tmp_path / "server").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not (tmp_path / "server").exists()


@pytest.fixture
def echo() -> Iterator[tuple[int, int]]:
    with relayed(0) as ports:
        yield ports


def ask(port: int, question: Question) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), LIMIT_S)
    connection.sendall(f"{question.mark} {question.number}\n".encode())
    return connection


def counts(control: int) -> dict[str, int]:
    with socket.create_connection(("127.0.0.1", control), LIMIT_S) as connection:
        return dict(json.loads(connection.recv(1000)))


def test_no_answer_comes_before_all_have_asked(echo: tuple[int, int]) -> None:
    connections = [ask(echo[0], Question(number, gate=3)) for number in range(2)]
    assert select.select(connections, [], [], 0.05) == ([], [], [])
    connections.append(ask(echo[0], Question(2, gate=3)))
    for number, connection in enumerate(connections):
        assert connection.recv(100) == f"fbl-gate-0003- {number}\n".encode()
        connection.close()
    assert counts(echo[1])["at_gate"] == 3


def test_an_answer_waits_as_long_as_its_question_says(echo: tuple[int, int]) -> None:
    began = time.monotonic()
    with ask(echo[0], Question(7, delay_s=0.1)) as connection:
        assert connection.recv(100).endswith(b" 7\n")
    assert time.monotonic() - began >= 0.1
