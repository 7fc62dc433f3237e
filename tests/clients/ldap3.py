"""ldap3: a connection for each task, and its strategy with threads."""

from typing import Any

import ldap3

from tests.clients.client import Client, Question
from tests.clients.servers import ENTRIES


class Own(Client):
    """Each task has a connection, the usual, synchronous one."""

    server = "slapd"
    strategy = ldap3.SYNC

    def connect(self, limit_s: float | None = None) -> Any:
        server = ldap3.Server("127.0.0.1", self.place.port, get_info=ldap3.NONE)
        connection = ldap3.Connection(server, client_strategy=self.strategy)
        try:
            connection.bind()
        except BaseException:
            connection.unbind()
            raise
        return connection

    def ask(self, connection: Any, question: Question) -> int:
        # Which entries there are is limited, so the question's number is the entry's and the rest.
        entry = f"n{question.number % ENTRIES}"
        search = f"(&(cn={entry})(!(description={question.mark})))"
        done = connection.search("dc=fibril", search, attributes=["cn"])
        response = connection.response
        if self.strategy == ldap3.ASYNC:
            response, _ = connection.get_response(done)
        (found,) = response
        assert found["attributes"]["cn"] == [entry], found
        return question.number

    def close(self, connection: Any) -> None:
        connection.unbind()


class Async(Own):
    """A thread of ldap3's reads the answers."""

    strategy = ldap3.ASYNC
