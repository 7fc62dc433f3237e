"""python-ldap: OpenLDAP's C code waits by itself, so fibril makes the calls in native threads."""

from typing import Any

import ldap

from tests.clients.client import Client, Question
from tests.clients.servers import ENTRIES


class Own(Client):
    """Each task has a connection."""

    server = "slapd"

    def connect(self, limit_s: float | None = None) -> Any:
        connection = ldap.initialize(f"ldap://127.0.0.1:{self.place.port}")
        connection.simple_bind_s()
        return connection

    def ask(self, connection: Any, question: Question) -> int:
        # Which entries there are is limited, so the question's number is the entry's and the rest.
        entry = f"n{question.number % ENTRIES}"
        search = f"(&(cn={entry})(!(description={question.mark})))"
        ((_, found),) = connection.search_s("dc=fibril", ldap.SCOPE_SUBTREE, search, ["cn"])
        assert found["cn"] == [entry.encode()], found
        return question.number

    def close(self, connection: Any) -> None:
        connection.unbind_s()
