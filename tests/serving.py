"""What tests of servers have in common: clients, and handlers for them."""

import os
from typing import Any

import fibril
from fibril import socket
from fibril.event import Event
from fibril.server import StreamServer

LOCALHOST = ("127.0.0.1", 0)
LIMIT_S = 20.0


def connect(server: Any) -> socket.socket:
    """A client of a server, or at an address."""
    address = getattr(server, "address", server)
    if isinstance(address, tuple):
        return socket.create_connection(address[:2], timeout=LIMIT_S)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(LIMIT_S)
    client.connect(address)
    return client


def ask(server: Any, request: bytes = b"hello") -> bytes:
    """What one client gets for its request, to the end."""
    with connect(server) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        return read_all(client)


def listen_to(server: Any) -> bytes:
    """What one client gets that says nothing, to the end."""
    with connect(server) as client:
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """What is sent until the connection ends."""
    received = b""
    while data := client.recv(100):
        received += data
    return received


def echo(client: socket.socket, address: Any) -> None:
    """Handle a client: send back what it sends."""
    while data := client.recv(100):
        client.sendall(data)


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


class Gated(StreamServer):
    """A server whose handlers wait until they are let go."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(LOCALHOST, *args, **options)
        self.gate = Event()
        self.inside: list[Any] = []
        self.was_killed = 0

    def handle(self, client: Any, address: Any) -> None:
        self.inside.append(client)
        try:
            self.gate.wait()
        except fibril.GreenletExit:
            self.was_killed += 1
            raise
        client.sendall(b"done")
