"""httpx: a client for each task, and one that all share."""

from typing import Any

import httpx

from tests.clients.client import Client, Question


class Own(Client):
    """Each task has a client."""

    server = "web"
    limits = (httpx.TimeoutException,)

    def connect(self, limit_s: float | None = None) -> Any:
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.place.port}",
            limits=httpx.Limits(max_connections=self.crowd, max_keepalive_connections=self.crowd),
            timeout=limit_s,
            trust_env=False,  # proxies, which it would look for
            verify=False,  # it would read all authorities' certificates, 200 times
        )

    def ask(self, connection: Any, question: Question) -> int:
        response = connection.get(f"/?{question.mark}&number={question.number}")
        assert response.status_code == 200, response.text
        return int(response.text)


class Shared(Own):
    """All tasks have one client with a pool, which no strike may leave in disorder."""

    limits = ()

    def __init__(self, place: Any) -> None:
        super().__init__(place)
        self.client = super().connect()

    def connect(self, limit_s: float | None = None) -> Any:
        return self.client

    def close(self, connection: Any) -> None:
        pass

    def end(self) -> None:
        self.client.close()
