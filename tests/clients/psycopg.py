"""psycopg 3: a connection for each task."""

from typing import Any

import psycopg

from tests.clients.client import Client, Question


class Own(Client):
    """Each task has a connection."""

    server = "postgres"
    target = "host=127.0.0.1 port={} user=fibril dbname=postgres sslmode=disable"

    def connect(self, limit_s: float | None = None) -> Any:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.place.port,
            user="fibril",
            dbname="postgres",
            sslmode="disable",
        )

    def ask(self, connection: Any, question: Question) -> int:
        query = f"SELECT pg_sleep(%s), %s::int /* {question.gate_mark} */"
        row = connection.execute(query, (question.delay_s, question.number)).fetchone()
        return int(row[1])
