"""kazoo: a session with ZooKeeper for each task; it has threads and pipes of its own."""

import itertools
from typing import Any

from kazoo.client import KazooClient

from tests.clients.client import Client, Question
from tests.clients.engine import engine

serial = itertools.count()


class Own(Client):
    """Each task has a session."""

    server = "zookeeper"

    def connect(self, limit_s: float | None = None) -> Any:
        client = KazooClient(f"127.0.0.1:{self.place.port}", timeout=60)
        start = engine.spawn(client.start_async)  # nobody kills it: half a start cannot be undone
        try:
            start.get().wait(60)
        except BaseException:
            engine.spawn(self.undo, start, client)
            raise
        return client

    def undo(self, start: Any, client: Any) -> None:
        start.join()
        self.close(client)

    def ask(self, connection: Any, question: Question) -> int:
        path = f"/{question.mark}{next(serial)}"
        connection.create(path, str(question.number).encode(), ephemeral=True)
        return int(connection.get(path)[0])

    def close(self, connection: Any) -> None:
        connection.stop()
        connection.close()
