"""Connections of a soak: a client sends a part of the sequence, a server sends it back.

Whatever happens to the sender, what its send() calls said they had taken comes back, all of it and
nothing else, unless the connection was reset.
"""

import contextlib
import socket
import struct
import time

import fibril
from tests.soak.world import Check, World, part_of

LINGER_NONE = struct.pack("ii", 1, 0)  # close() resets
STRIKE_S = 0.3
EXPECTED = (OSError, fibril.Timeout)


def listen(backlog: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=backlog)


def serve(listener: socket.socket) -> None:
    """Until it is killed."""
    while True:
        connection, _ = listener.accept()
        fibril.spawn(answer, connection)


def answer(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):  # reset by the client
        while data := connection.recv(65536):
            connection.sendall(data)


class Client:
    """One connection's."""

    def __init__(self, world: World, address: tuple[str, int]) -> None:
        self.world = world
        self.check = Check(world, world.place())
        self.sent = 0
        self.socket = socket.create_connection(address)

    def send(self) -> None:
        with contextlib.suppress(fibril.Timeout, OSError):
            for _ in range(self.world.chance.randrange(1, 12)):
                data = part_of(self.check.place + self.sent, self.world.size())
                self.sent += self.socket.send(data)
                time.sleep(self.world.chance.random() * 0.1)

    def end(self, task: object = None) -> None:
        """No more is sent."""
        with contextlib.suppress(OSError):  # it was reset, or closed
            self.socket.shutdown(socket.SHUT_WR)

    def receive(self) -> None:
        while data := self.socket.recv(self.world.chance.choice([100, 5000, 65536])):
            self.check.take(data)

    def reset(self) -> None:
        self.world.done["resets"] += 1
        with contextlib.suppress(OSError):  # it is closed already
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            self.socket.close()


def exchange(world: World, address: tuple[str, int]) -> None:
    """One connection, from its beginning to its end."""
    client = Client(world, address)
    with client.socket:
        sender = fibril.spawn(client.send)
        sender.rawlink(client.end)
        if world.may(30):
            world.strike_later(sender, STRIKE_S)
        if world.may(10):
            fibril.spawn_later(world.chance.random() * STRIKE_S, client.reset)
        try:
            client.receive()
        finally:
            sender.kill()
    world.done["bytes"] += client.check.got
    if client.check.got != client.sent:
        world.fail(f"{client.sent} bytes were sent, and {client.check.got} came back")
