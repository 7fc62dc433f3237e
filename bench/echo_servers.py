"""The echo servers: `python echo_servers.py WIRE CONTENDER` prints where it listens, and serves.

WIRE is tcp, tls, unix or udp. Each server is what its users would write, with nothing added for the
benchmark: straight-line code with a task per connection for fibril, gevent, asyncio's sockets and
streams; callbacks for the protocols. All read at most 4096 bytes at a time, as the C server does.
They serve until they are killed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import native

READ_BYTES = 4096
BACKLOG = 1024
LOCALHOST = ("127.0.0.1", 0)
WIRES = ("tcp", "tls", "unix", "udp")


def announce(listener: Any) -> None:
    name = listener.getsockname()
    print(name if isinstance(name, str) else name[1], flush=True)


def path_of_socket() -> str:
    """In a folder of this process's; the socket outlives neither."""
    return str(Path(tempfile.gettempdir()) / f"fibril-bench-{os.getpid()}.sock")


def certified(context: Any) -> Any:
    context.load_cert_chain(native.certificate())
    return context


# ---- straight-line code ----


def listening(socket_module: Any, wire: str) -> Any:
    is_unix, is_udp = wire == "unix", wire == "udp"
    family = socket.AF_UNIX if is_unix else socket.AF_INET
    listener = socket_module.socket(family, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
    listener.bind(path_of_socket() if is_unix else LOCALHOST)
    if not is_udp:
        listener.listen(BACKLOG)
    announce(listener)
    return listener


def serve_fibers(wire: str, socket_module: Any, ssl_module: Any, spawn: Any) -> None:
    """fibril and gevent: the same lines."""

    def handle(conn: socket.socket) -> None:
        with conn:
            while data := conn.recv(READ_BYTES):
                conn.sendall(data)

    def handle_tls(conn: socket.socket) -> None:
        handle(context.wrap_socket(conn, server_side=True))

    listener = listening(socket_module, wire)
    if wire == "udp":
        while True:
            data, peer = listener.recvfrom(READ_BYTES)
            listener.sendto(data, peer)
    if wire == "tls":
        context = certified(ssl_module.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    while True:
        conn, _ = listener.accept()
        spawn(handle_tls if wire == "tls" else handle, conn)


def fibril(wire: str) -> None:
    import fibril
    import fibril.socket
    import fibril.ssl

    serve_fibers(wire, fibril.socket, fibril.ssl, fibril.spawn)


def gevent(wire: str) -> None:
    import gevent
    import gevent.socket
    import gevent.ssl

    serve_fibers(wire, gevent.socket, gevent.ssl, gevent.spawn)


# ---- asyncio ----


async def serve_sockets(wire: str) -> None:
    """asyncio's own sockets: `loop.sock_recv`, one task per connection; they know no TLS."""
    loop = asyncio.get_running_loop()
    tasks = set()

    async def handle(conn: socket.socket) -> None:
        with conn:
            while data := await loop.sock_recv(conn, READ_BYTES):
                await loop.sock_sendall(conn, data)

    with listening(socket, wire) as listener:
        listener.setblocking(False)
        while wire == "udp":
            data, peer = await loop.sock_recvfrom(listener, READ_BYTES)
            await loop.sock_sendto(listener, data, peer)
        while True:
            conn, _ = await loop.sock_accept(listener)
            task = loop.create_task(handle(conn))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def context_of(wire: str) -> ssl.SSLContext | None:
    return certified(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) if wire == "tls" else None


async def serve_streams(wire: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
        writer.close()

    if wire == "unix":
        server = await asyncio.start_unix_server(handle, path_of_socket(), backlog=BACKLOG)
    else:
        server = await asyncio.start_server(
            handle, *LOCALHOST, backlog=BACKLOG, ssl=context_of(wire)
        )
    announce(server.sockets[0])
    await server.serve_forever()


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class EchoDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        self.transport.sendto(data, peer)


async def serve_protocol(wire: str) -> None:
    loop = asyncio.get_running_loop()
    if wire == "udp":
        transport, _ = await loop.create_datagram_endpoint(EchoDatagrams, LOCALHOST)
        announce(transport.get_extra_info("socket"))
        await asyncio.Event().wait()
    if wire == "unix":
        server: Any = await loop.create_unix_server(Echo, path_of_socket(), backlog=BACKLOG)
    else:
        server = await loop.create_server(Echo, *LOCALHOST, backlog=BACKLOG, ssl=context_of(wire))
    announce(server.sockets[0])
    await server.serve_forever()


def uvloop_run(main: Any) -> None:
    import uvloop

    uvloop.run(main)


SERVERS: dict[str, Callable[[str], None]] = {
    "fibril": fibril,
    "gevent": gevent,
    "asyncio sockets": lambda wire: asyncio.run(serve_sockets(wire)),
    "asyncio streams": lambda wire: asyncio.run(serve_streams(wire)),
    "asyncio protocol": lambda wire: asyncio.run(serve_protocol(wire)),
    "uvloop streams": lambda wire: uvloop_run(serve_streams(wire)),
    "uvloop protocol": lambda wire: uvloop_run(serve_protocol(wire)),
}


def may_serve(contender: str, wire: str) -> bool:
    """asyncio's sockets know no TLS, and its streams no datagrams."""
    if wire == "tls":
        return contender != "asyncio sockets"
    return wire != "udp" or not contender.endswith("streams")


if __name__ == "__main__":
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    SERVERS[sys.argv[2]](sys.argv[1])
