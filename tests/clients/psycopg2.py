"""psycopg2: a connection for each task."""

from typing import Any

import psycopg2

from tests.clients.client import Client, Question


class Own(Client):
    """Each task has a connection."""

    server = "postgres"
    target = "host=127.0.0.1 port={} user=fibril dbname=postgres sslmode=disable"

    def connect(self, limit_s: float | None = None) -> Any:
        return psycopg2.connect(self.target.format(self.place.port))

    def ask(self, connection: Any, question: Question) -> int:
        with connection.cursor() as cursor:
            query = f"SELECT pg_sleep(%s), %s /* {question.gate_mark} */"
            cursor.execute(query, (question.delay_s, question.number))
            return int(cursor.fetchone()[1])
