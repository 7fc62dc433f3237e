"""PyMySQL: a connection for each task."""

from typing import Any

import pymysql

from tests.clients.client import Client, Question


class Own(Client):
    """Each task has a connection."""

    server = "mariadb"
    limits = (pymysql.err.OperationalError,)

    def connect(self, limit_s: float | None = None) -> Any:
        return pymysql.connect(
            host="127.0.0.1",
            port=self.place.port,
            user="root",
            read_timeout=limit_s,
            ssl_disabled=True,  # it would read all authorities' certificates, 200 times
        )

    def ask(self, connection: Any, question: Question) -> int:
        with connection.cursor() as cursor:
            query = f"SELECT SLEEP(%s), %s /* {question.gate_mark} */"
            cursor.execute(query, (question.delay_s, question.number))
            ((_, number),) = cursor.fetchall()
        return int(number)
