"""psycopg 3: a connection for each task, and its pool for all."""

from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from tests.clients.client import Client, Place, Question


class Own(Client):
    """Each task has a connection."""

    server = "postgres"
    target = "host=127.0.0.1 port={} user=fibril dbname=postgres sslmode=disable"

    def connect(self, limit_s: float | None = None) -> Any:
        return psycopg.connect(self.target.format(self.place.port))

    def ask(self, connection: Any, question: Question) -> int:
        query = f"SELECT pg_sleep(%s), %s::int /* {question.gate_mark} */"
        row = connection.execute(query, (question.delay_s, question.number)).fetchone()
        return int(row[1])


class Pool(Own):
    """All tasks have one pool, with threads of its own that connect."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        target = self.target.format(place.port)
        self.pool = ConnectionPool(target, min_size=1, max_size=self.crowd, timeout=60, open=True)

    def connect(self, limit_s: float | None = None) -> Any:
        return self.pool

    def ask(self, connection: Any, question: Question) -> int:
        with connection.connection() as mine:
            return super().ask(mine, question)

    def close(self, connection: Any) -> None:
        pass

    def end(self) -> None:
        self.pool.close()
