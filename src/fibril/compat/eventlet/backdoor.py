"""eventlet.backdoor, served by fibril: a Python prompt at a socket, into the running program.

The idea: each connection has a console of the standard library's in a greenthread, with streams of
its own (fibril._io.task_streams). What others print goes where it went.

Threads: owner. Whoever can connect can do anything: listen at localhost, or a path.
"""

from __future__ import annotations

import code
import sys
from types import CodeType
from typing import Any

from fibril._io.task_streams import Streams, own_streams, stand_in

from . import greenthread

__all__ = ["SocketConsole", "backdoor", "backdoor_server"]


class SocketConsole(code.InteractiveConsole):
    """A console that reads from a connection's file, and writes to it."""

    def __init__(self, file: Any, hostport: Any, locals: dict[str, Any] | None) -> None:
        super().__init__(locals)
        self.file, self.hostport = file, hostport

    def raw_input(self, prompt: str = "") -> str:
        """A line; EOFError at the end."""
        self.write(prompt)
        line: str = self.file.readline()
        if not line:
            raise EOFError
        return line.rstrip("\r\n")

    def write(self, data: str) -> None:
        """Write to the connection."""
        self.file.write(data)
        self.file.flush()

    def run(self) -> None:
        """Talk until the peer has enough."""
        banner = (
            f'Python {sys.version.splitlines()[0]} on {sys.platform}\nType "help", '
            f'"copyright", "credits" or "license" for more information.\n(InteractiveConsole)'
        )
        try:
            with own_streams(Streams(self.file, self.file, self.file, self._display)):
                self.interact(banner, "")
        except (SystemExit, OSError):
            pass  # quit(); the peer is gone
        finally:
            try:
                self.file.close()
            except OSError:
                pass  # what was not sent cannot be any more

    def _display(self, value: object) -> None:
        if value is not None:
            self.write(f"{value!r}\n")

    def runcode(self, code: CodeType) -> None:
        """Run what was typed, whatever others have put into sys meanwhile."""
        stand_in()
        super().runcode(code)


def backdoor_server(sock: Any, locals: dict[str, Any] | None = None) -> None:
    """Accept connections for ever; each gets a prompt. locals: the names that it has.

    Switches: if it must wait. Threads: owner.
    """
    try:
        while True:
            greenthread.spawn(backdoor, sock.accept(), locals)
    finally:
        sock.close()


def backdoor(conn_info: Any, locals: dict[str, Any] | None = None) -> None:
    """A prompt for one connection: (socket, address).

    Switches: if it must wait. Threads: owner.
    """
    connection, address = conn_info
    file = connection.makefile("rw")
    connection.close()  # when the file is
    SocketConsole(file, address, locals).run()
