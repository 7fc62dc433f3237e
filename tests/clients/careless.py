"""Clients with faults, of the relay's echo: what run_client.py finds must be found in them."""

import socket
import threading
from typing import Any

from tests.clients.client import Client, Question


class Right(Client):
    """Without a fault."""

    server = "echo"
    crowd = 20

    def connect(self, limit_s: float | None = None) -> Any:
        return socket.create_connection(("127.0.0.1", self.place.port))

    def ask(self, connection: Any, question: Question) -> int:
        connection.sendall(f"{question.mark} {question.number}\n".encode())
        with connection.makefile("rb") as file:
            return int(file.readline().split()[1])


class InTurn(Right):
    """One at a time: as if the library blocked the thread."""

    def __init__(self, place: Any) -> None:
        super().__init__(place)
        self.lock = threading.Lock()

    def ask(self, connection: Any, question: Question) -> int:
        with self.lock:
            return super().ask(connection, question)


class Mixing(Right):
    """One connection for all, and no more care after a strike."""

    def __init__(self, place: Any) -> None:
        super().__init__(place)
        self.connection = super().connect()
        self.lock = threading.Lock()

    def connect(self, limit_s: float | None = None) -> Any:
        return self.connection

    def ask(self, connection: Any, question: Question) -> int:
        with self.lock:
            return super().ask(connection, question)

    def close(self, connection: Any) -> None:
        pass

    def end(self) -> None:
        self.connection.close()


class Leaking(Right):
    """Who is struck leaves his connection open."""

    kept: list[Any] = []  # noqa: RUF012 # it outlives the client on purpose

    def drop(self, connection: Any) -> None:
        self.kept.append(connection)
