"""The servers of the accept benchmark: `python accept_servers.py CONTENDER` prints its port.

Each closes a connection as soon as it has it, in a task of its own where that is the way.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

from echo_servers import BACKLOG, LOCALHOST, announce, listening, uvloop_run


def serve_fibers(socket_module: Any, spawn: Any) -> None:
    def handle(conn: socket.socket) -> None:
        conn.close()

    listener = listening(socket_module, "tcp")
    while True:
        conn, _ = listener.accept()
        spawn(handle, conn)


def fibril() -> None:
    import fibril
    import fibril.socket

    serve_fibers(fibril.socket, fibril.spawn)


def gevent() -> None:
    import gevent
    import gevent.socket

    serve_fibers(gevent.socket, gevent.spawn)


def serve_stream_server(server: Any, socket_module: Any) -> None:
    def handle(conn: socket.socket, address: Any) -> None:
        """The server closes it."""

    server(listening(socket_module, "tcp"), handle).serve_forever()


def fibril_server() -> None:
    import fibril.server
    import fibril.socket

    serve_stream_server(fibril.server.StreamServer, fibril.socket)


def gevent_server() -> None:
    import gevent.server
    import gevent.socket

    serve_stream_server(gevent.server.StreamServer, gevent.socket)


async def serve_streams() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(handle, *LOCALHOST, backlog=BACKLOG)
    announce(server.sockets[0])
    await server.serve_forever()


class Closing(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.close()


async def serve_protocol() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Closing, *LOCALHOST, backlog=BACKLOG)
    announce(server.sockets[0])
    await server.serve_forever()


SERVERS: dict[str, Callable[[], None]] = {
    "fibril": fibril,
    "gevent": gevent,
    "fibril StreamServer": fibril_server,
    "gevent StreamServer": gevent_server,
    "asyncio streams": lambda: asyncio.run(serve_streams()),
    "asyncio protocol": lambda: asyncio.run(serve_protocol()),
    "uvloop streams": lambda: uvloop_run(serve_streams()),
    "uvloop protocol": lambda: uvloop_run(serve_protocol()),
}

if __name__ == "__main__":
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    SERVERS[sys.argv[1]]()
