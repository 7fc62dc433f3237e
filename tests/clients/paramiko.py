"""paramiko: commands on a server of ssh, which sleep there."""

from typing import Any

import paramiko

from tests.clients.client import Client, Place, Question


class Own(Client):
    """Each task has a connection, with a thread of paramiko's."""

    server = "sshd"
    crowd = 50  # connections: each costs the two 50 ms of computing
    storm = 10
    delay_s = 0.3

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.key = paramiko.Ed25519Key.from_private_key_file(f"{place.folder}/user")

    def connect(self, limit_s: float | None = None) -> Any:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        try:
            client.connect(
                "127.0.0.1",
                self.place.port,
                pkey=self.key,
                allow_agent=False,
                look_for_keys=False,
            )
        except BaseException:
            client.close()
            raise
        return client

    def ask(self, connection: Any, question: Question) -> int:
        command = f"sleep {question.delay_s}; echo {question.number}"
        if question.gate:  # the echo's answer waits for those of the others
            port = self.place.echo
            command += f" {question.mark} >&3; read -r number rest <&3; echo $number"
            command = f"exec 3<>/dev/tcp/127.0.0.1/{port}; {command}"
        _, stdout, stderr = connection.exec_command(f"exec bash -c '{command}'")
        try:
            answer, errors = stdout.read(), stderr.read()
        finally:
            stdout.channel.close()
        assert not errors, errors
        return int(answer)


class Shared(Own):
    """Four connections for all: as many commands at once as a server takes on one."""

    crowd = 200
    storm = 30
    delay_s = 0.1

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.clients = [super(Shared, self).connect() for _ in range(4)]
        self.turn = 0

    def connect(self, limit_s: float | None = None) -> Any:
        self.turn += 1
        return self.clients[self.turn % len(self.clients)]

    def close(self, connection: Any) -> None:
        pass

    def end(self) -> None:
        for client in self.clients:
            client.close()
