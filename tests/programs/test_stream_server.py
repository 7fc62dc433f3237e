"""A server under load that is told to end: whoever it has accepted is served to the end."""

import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.programs.child import Start

CLIENTS = 40
MESSAGES = 50
LIMIT_S = 20


class Client(threading.Thread):
    """Sends messages and reads each back; `answered` counts them."""

    def __init__(self, address: tuple[str, int], told: threading.Event) -> None:
        super().__init__(daemon=True)
        self.address, self.told, self.answered = address, told, 0
        self.begun = threading.Event()
        self.error: OSError | None = None

    def run(self) -> None:
        try:
            with socket.create_connection(self.address, timeout=LIMIT_S) as sock:
                self.talk(sock)
        except OSError as error:
            self.error = error
        finally:
            self.begun.set()

    def talk(self, sock: socket.socket) -> None:
        for number in range(MESSAGES):
            text = b"%d" % number
            sock.sendall(text)
            if sock.recv(100) != text:
                return
            self.answered += 1
            self.begun.set()
            if number == MESSAGES // 2:
                self.told.wait(LIMIT_S)  # in the middle of its work when the signal comes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_nobody_who_was_accepted(
    start: Start, examples: Path, number: signal.Signals
) -> None:
    server = start([sys.executable, str(examples / "stream_server.py"), "0"])
    host, _, port = server.line().removeprefix("listening on ").rpartition(":")
    address, told = (host, int(port)), threading.Event()
    early = [Client(address, told) for _ in range(CLIENTS)]
    for client in early:
        client.start()
    for client in early:
        assert client.begun.wait(LIMIT_S)
    late = [Client(address, told) for _ in range(CLIENTS)]
    for client in late[: CLIENTS // 2]:
        client.start()
    server.process.send_signal(number)
    for client in late[CLIENTS // 2 :]:
        client.start()
    told.set()
    for client in early + late:
        client.join(LIMIT_S)
        assert not client.is_alive()
    assert [client.answered for client in early] == [MESSAGES] * CLIENTS
    # Of those who came with the signal, each is served to the end or not at all.
    assert {client.answered for client in late} <= {0, MESSAGES}
    served = sum(client.answered == MESSAGES for client in early + late)
    assert server.rest() == f"served {served} connections\n"
    assert server.finish() == 0
    assert server.errors() == ""


def test_a_stop_waits_for_who_is_connected(start: Start, examples: Path) -> None:
    server = start([sys.executable, str(examples / "stream_server.py"), "0"])
    host, _, port = server.line().removeprefix("listening on ").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as idle:
        idle.sendall(b"x")
        assert idle.recv(1) == b"x"
        server.process.send_signal(signal.SIGTERM)
        assert refuses((host, int(port)))
        assert server.process.poll() is None  # it waits for us
        idle.sendall(b"y")
        assert idle.recv(1) == b"y"
        idle.shutdown(socket.SHUT_WR)
        assert idle.recv(1) == b""
    assert server.line().startswith("served ")
    assert server.finish() == 0
    assert server.errors() == ""


def refuses(address: tuple[str, int]) -> bool:
    """Whether nobody listens any more, soon."""
    for _ in range(10_000):
        try:
            socket.create_connection(address, timeout=LIMIT_S).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # just then
            pass
    return False
