"""redis: a connection for each task, and a pool for all, also with several commands at once."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.clients.client import Client, Question

SHORTEST_S = 0.001  # to Redis 0 means for ever


class Own(Client):
    """Each task has a connection."""

    server = "redis"
    limits = (redis.exceptions.TimeoutError,)

    def connect(self, limit_s: float | None = None) -> Any:
        pool = redis.BlockingConnectionPool(
            **{"ssl_ca_certs": self.place.authority} if self.has_tls else {},
            connection_class=redis.SSLConnection if self.has_tls else redis.Connection,
            host="127.0.0.1",
            port=self.place.port,
            socket_timeout=limit_s,
            socket_connect_timeout=60,
            max_connections=self.crowd,
            retry=Retry(NoBackoff(), 0),
            timeout=60,
        )
        return redis.Redis.from_pool(pool)

    def ask(self, connection: Any, question: Question) -> int:
        key = f"fibril:{question.gate_mark}"
        nobody = connection.blpop([key], timeout=max(SHORTEST_S, question.delay_s))
        assert nobody is None, nobody
        return int(connection.echo(str(question.number)))


class Tls(Own):
    """The same, encrypted."""

    has_tls = True
    storm = 10  # to begin a connection it computes for a tenth of a second: for what it trusts
    delay_s = 0.2


class Shared(Own):
    """All tasks have one pool, which no strike may leave in disorder."""

    limits = ()

    def __init__(self, place: Any) -> None:
        super().__init__(place)
        self.redis = super().connect()

    def connect(self, limit_s: float | None = None) -> Any:
        return self.redis

    def close(self, connection: Any) -> None:
        pass

    def end(self) -> None:
        self.redis.close()


class Pipeline(Shared):
    """Several commands at once, by the same pool."""

    def ask(self, connection: Any, question: Question) -> int:
        with connection.pipeline(transaction=False) as pipe:
            pipe.echo(question.number)
            pipe.blpop([f"fibril:{question.gate_mark}"], timeout=max(SHORTEST_S, question.delay_s))
            pipe.echo(question.number)
            first, _, last = pipe.execute()
        assert first == last, (first, last)
        return int(last)
