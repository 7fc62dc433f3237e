"""urllib3: pools of connections, one for each task and one for all, and answers that are long."""

from typing import Any

import urllib3

from tests.clients.client import Client, Question

LONG = 20_000  # times the number: more than the buffers of a connection hold


class Own(Client):
    """Each task has a pool."""

    server = "web"
    limits = (urllib3.exceptions.TimeoutError,)
    scheme = "http"
    times = 1

    def connect(self, limit_s: float | None = None) -> Any:
        return urllib3.PoolManager(
            maxsize=self.crowd,
            block=True,
            retries=False,
            timeout=limit_s,
            ca_certs=self.place.authority or None,
        )

    def ask(self, connection: Any, question: Question) -> int:
        url = f"{self.scheme}://127.0.0.1:{self.place.port}/?{question.mark}"
        number = f"{question.number:020} ".encode()
        response = connection.request("POST", url, body=number * self.times)
        assert response.status == 200, response.data
        answer = response.data[: len(number)]
        assert response.data == answer * self.times, f"{len(response.data)} bytes, and of several"
        return int(answer)

    def close(self, connection: Any) -> None:
        connection.clear()


class Tls(Own):
    """The same, by HTTPS."""

    has_tls = True
    scheme = "https"


class LongTls(Tls):
    """Question and answer are broken off in their middle, too."""

    times = LONG
    crowd = 50  # 42 MB in all


class Shared(Own):
    """All tasks have one pool, which no strike may leave in disorder."""

    limits = ()

    def __init__(self, place: Any) -> None:
        super().__init__(place)
        self.pool = super().connect()

    def connect(self, limit_s: float | None = None) -> Any:
        return self.pool

    def close(self, connection: Any) -> None:
        pass

    def end(self) -> None:
        self.pool.clear()


class LongShared(Shared):
    """The same, with long questions and answers."""

    times = LONG
    crowd = 50
