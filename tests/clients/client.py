"""What one client library can do: each of the files beside this one fills in a Client or several.

The idea: a client connects, and asks questions that have numbers; the answer says the number. So
whoever asks knows whether an answer is his own. A question takes as long as it says, because the
server sleeps, or because the relay in between (relay.py) holds the answer: it looks for marks in
what the client sends.

Do not add: what is done with clients; that is in run_client.py.
"""

from typing import Any, ClassVar, NamedTuple


class Place(NamedTuple):
    """Where the server is to be found."""

    port: int  # of the relay in front of it; on 127.0.0.1
    control: int  # who connects there is told what the relay has counted
    authority: str = ""  # a file with the certificate that signs the relay's; if it speaks TLS
    folder: str = ""  # the server's own
    echo: int = 0  # for sshd, whose relay cannot look into what is sent: what commands ask instead


class Question(NamedTuple):
    """A number to be told, not before `delay_s`, and not before `gate` others are under way."""

    number: int
    delay_s: float = 0.0
    gate: int = 0

    @property
    def gate_mark(self) -> str:
        """For questions to a server that sleeps by itself."""
        return f"fbl-gate-{self.gate:04}-" if self.gate else "fbl-"

    @property
    def mark(self) -> str:
        """For questions to one that does not: then it is the relay that lets the answer wait."""
        return self.gate_mark if self.gate else f"fbl-wait-{round(self.delay_s * 1000):04}-"


class Client:
    """One way to use one library."""

    server: ClassVar[str]  # its name in servers.py
    limits: tuple[type[Exception], ...] = ()  # what the library raises at the end of a limit_s
    crowd = 200  # how many can ask at once
    storm = 30  # tasks that are struck and killed while they ask, and how long an answer takes them
    delay_s = 0.03
    has_tls = False

    def __init__(self, place: Place) -> None:
        self.place = place

    def connect(self, limit_s: float | None = None) -> Any:
        """What a task asks by. `limit_s`: the library shall not wait longer for an answer."""
        raise NotImplementedError

    def ask(self, connection: Any, question: Question) -> int:
        raise NotImplementedError

    def close(self, connection: Any) -> None:
        connection.close()

    def drop(self, connection: Any) -> None:
        """Close it after a question that was broken off in the middle."""
        self.close(connection)

    def end(self) -> None:
        """Close what is not one connection's own."""
