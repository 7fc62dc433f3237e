"""Seed program 3: an echo server on 127.0.0.1:8888 under 500 clients at once.

The port is written in the program and the program sets no SO_REUSEADDR, so a run must leave no
socket of that port in TIME_WAIT, and two runs on one machine must take turns:
- TIME_WAIT stays with whoever closes first. The client closes first, always, and until its last
  answer is right it has SO_LINGER 0, so that even a client that fails or is killed ends its
  connections with RST and leaves nothing behind on the server's side.
- A lock file in the temporary folder makes runs take turns.
"""

import fcntl
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs.child import Start

PORT = 8888
CLIENTS = 500
MESSAGES = 100
TURN_S = 40.0


def until(is_met: Callable[[], bool], limit_s: float) -> bool:
    """Wait for a condition that nobody announces; whether it was met in time."""
    deadline = time.monotonic() + limit_s
    while not is_met():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_locked(file: Any) -> bool:
    """Try to take the lock on an open file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.fixture
def free_port() -> Iterator[int]:
    """The program's port: ours alone in this machine's test runs, and free."""
    with (Path(tempfile.gettempdir()) / "fibril-test-port-8888.lock").open(
        "w", encoding="utf-8"
    ) as turn:
        assert until(lambda: is_locked(turn), TURN_S), f"another test run keeps port {PORT}"
        try:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", PORT))
        except OSError as error:
            pytest.fail(
                f"cannot run the echo server: {error} (127.0.0.1:{PORT}, which is written in the "
                f"program). End what uses the port: `ss -tanp 'sport = :{PORT}'` shows it."
            )
        yield PORT


def is_listening(port: int) -> bool:
    """Try one connection, which is closed at once, by this side first."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_500_clients_get_each_of_their_messages_back(
    free_port: int, start: Start, run_under: list[str], examples: Path, seed: int
) -> None:
    # `free_port` comes first, so that the turn ends after `start` has ended the server.
    # The server prints all that it receives; nobody reads it here, so it goes to /dev/null.
    program = str(examples / "seed" / "3_gevent_echo_server.py")
    server = start(["sh", "-c", 'exec "$@" >/dev/null', "sh", *run_under, program])
    if not until(lambda: server.process.poll() is not None or is_listening(free_port), 10):
        server.fail(f"does not listen on port {free_port}")
    client_program = str(examples / "demo" / "echo_client.py")
    options = f"--connections {CLIENTS} --messages {MESSAGES} --bytes 1-2500 --seed {seed}"
    client = start([sys.executable, client_program, str(free_port), *options.split()])
    report = json.loads(client.rest().splitlines()[-1])
    assert client.finish() == 0, client.errors()
    assert report["messages"] == CLIENTS * MESSAGES
    assert report["lost"] == 0
    assert report["open"] == CLIENTS
    assert server.process.poll() is None, server.errors()
    assert server.errors() == ""
