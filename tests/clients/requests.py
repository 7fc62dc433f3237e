"""requests: a session for each task, and one that all share."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from tests.clients.client import Client, Question


class Own(Client):
    """Each task has a session."""

    server = "web"
    limits = (requests.exceptions.Timeout,)
    scheme = "http"

    def url(self, question: Question) -> str:
        return (
            f"{self.scheme}://127.0.0.1:{self.place.port}/?{question.mark}&number={question.number}"
        )

    def connect(self, limit_s: float | None = None) -> Any:
        session = requests.Session()
        session.trust_env = False  # proxies, which it would look for
        session.verify = self.place.authority or True
        session.limit_s = limit_s  # type: ignore[attr-defined] # requests has one for each call
        return session

    def ask(self, connection: Any, question: Question) -> int:
        response = connection.get(self.url(question), timeout=connection.limit_s)
        assert response.status_code == 200, response.text
        return int(response.text)


class Tls(Own):
    """The same, by HTTPS."""

    has_tls = True
    scheme = "https"


class Shared(Own):
    """All tasks have one session with a pool, which no strike may leave in disorder."""

    limits = ()

    def __init__(self, place: Any) -> None:
        super().__init__(place)
        self.session = super().connect()
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=self.crowd, pool_block=True)
        self.session.mount("http://", adapter)

    def connect(self, limit_s: float | None = None) -> Any:
        return self.session

    def close(self, connection: Any) -> None:
        pass

    def end(self) -> None:
        self.session.close()
