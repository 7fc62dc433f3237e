"""The echo servers, one per contender: `python echo_servers.py CONTENDER` prints its port, serves.

Each is what its users would write, with nothing added for the benchmark: straight-line code with a
task per connection for fibril, gevent, asyncio's sockets and streams; callbacks for the protocols.
All read at most 4096 bytes at a time, as the C server does. They serve until they are killed.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

READ_BYTES = 4096
BACKLOG = 1024
LOCALHOST = ("127.0.0.1", 0)


def announce(listener: Any) -> None:
    print(listener.getsockname()[1], flush=True)


def serve_fibers(socket_module: Any, spawn: Any) -> None:
    """fibril and gevent: the same lines."""

    def handle(conn: socket.socket) -> None:
        with conn:
            while data := conn.recv(READ_BYTES):
                conn.sendall(data)

    listener = socket_module.socket()
    listener.bind(LOCALHOST)
    listener.listen(BACKLOG)
    announce(listener)
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


async def serve_sockets() -> None:
    """asyncio's own sockets: `loop.sock_recv`, one task per connection."""
    loop = asyncio.get_running_loop()
    tasks = set()

    async def handle(conn: socket.socket) -> None:
        with conn:
            while data := await loop.sock_recv(conn, READ_BYTES):
                await loop.sock_sendall(conn, data)

    with socket.create_server(LOCALHOST, backlog=BACKLOG) as listener:
        listener.setblocking(False)
        announce(listener)
        while True:
            conn, _ = await loop.sock_accept(listener)
            task = loop.create_task(handle(conn))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


async def serve_streams() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, *LOCALHOST, backlog=BACKLOG)
    announce(server.sockets[0])
    await server.serve_forever()


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def serve_protocol() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, *LOCALHOST, backlog=BACKLOG)
    announce(server.sockets[0])
    await server.serve_forever()


def uvloop_run(main: Any) -> None:
    import uvloop

    uvloop.run(main)


SERVERS: dict[str, Callable[[], None]] = {
    "fibril": fibril,
    "gevent": gevent,
    "asyncio sockets": lambda: asyncio.run(serve_sockets()),
    "asyncio streams": lambda: asyncio.run(serve_streams()),
    "asyncio protocol": lambda: asyncio.run(serve_protocol()),
    "uvloop streams": lambda: uvloop_run(serve_streams()),
    "uvloop protocol": lambda: uvloop_run(serve_protocol()),
}

if __name__ == "__main__":
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    SERVERS[sys.argv[1]]()
