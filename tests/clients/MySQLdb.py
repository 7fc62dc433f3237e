"""mysqlclient: its C code waits by itself, so fibril makes the calls in native threads."""

from typing import Any

import MySQLdb

from tests.clients.client import Client, Question


class Own(Client):
    """Each task has a connection."""

    server = "mariadb"

    def connect(self, limit_s: float | None = None) -> Any:
        return MySQLdb.connect(host="127.0.0.1", port=self.place.port, user="root")

    def ask(self, connection: Any, question: Question) -> int:
        cursor = connection.cursor()
        query = f"SELECT SLEEP(%s), %s /* {question.gate_mark} */"
        cursor.execute(query, (question.delay_s, question.number))
        ((_, number),) = cursor.fetchall()
        return int(number)
