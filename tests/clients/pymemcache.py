"""pymemcache: a connection for each task, and a pool for all; memcached itself is never slow."""

import socket
from typing import Any

from pymemcache import PooledClient
from pymemcache.client.base import Client as Memcache

from tests.clients.client import Client, Question


class Own(Client):
    """Each task has a connection."""

    server = "memcached"
    limits = (socket.timeout,)

    def connect(self, limit_s: float | None = None) -> Any:
        return Memcache(
            ("127.0.0.1", self.place.port), timeout=limit_s, connect_timeout=60, no_delay=True
        )

    def ask(self, connection: Any, question: Question) -> int:
        key = f"{question.mark}{question.number}"
        connection.set(key, str(question.number), noreply=False)
        return int(connection.get(key))


class Shared(Own):
    """All tasks have one pool. It keeps the place of who is killed while he has a connection,
    for it foresees an Exception only; so there must be no end of places."""

    limits = ()

    def __init__(self, place: Any) -> None:
        super().__init__(place)
        self.pool = PooledClient(("127.0.0.1", place.port), max_pool_size=1_000_000, no_delay=True)

    def connect(self, limit_s: float | None = None) -> Any:
        return self.pool

    def close(self, connection: Any) -> None:
        pass

    def end(self) -> None:
        self.pool.close()
