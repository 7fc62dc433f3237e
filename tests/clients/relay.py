"""A relay between clients and a server, which lets answers wait and counts. A program, not a test.

    python -m tests.clients.relay PORT [CERTIFICATE-AND-KEY]

It listens on a port of its own and hands on what comes to the server at PORT, or, if that is 0,
gives each line back. With a certificate clients speak TLS with it, and it does not with the server.
It looks for marks in what clients send:

    fbl-wait-0030    the answers on this connection wait for 30 ms from now
    fbl-gate-0200    they wait until 200 connections have sent this mark

So whether 200 questions were under way at once is no matter of time: the last one opens the gate,
and it never opens for a client that asks one after the other.

Prints its two ports. Whoever connects to the second is told, in JSON, how many connections are
`open`, how many there were in all, and how many were at the gate at most.
"""

import asyncio
import contextlib
import json
import re
import ssl
import sys

MARK = re.compile(rb"fbl-(wait|gate)-(\d{4})")
MARK_BYTES = 13
CHUNK_BYTES = 1 << 16


class Gate:
    """Where connections wait for each other."""

    def __init__(self) -> None:
        self.waiting: dict[object, asyncio.Event] = {}
        self.most = 0

    def arrive(self, who: object, go_on: asyncio.Event, count: int) -> None:
        self.waiting[who] = go_on
        self.most = max(self.most, len(self.waiting))
        if len(self.waiting) >= count:
            for each in self.waiting.values():
                each.set()
            self.waiting.clear()


class Connection:
    """One client's, and the one to the server that goes with it."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.tail = b""  # a mark may come in two pieces
        self.go_on = asyncio.Event()
        self.go_on.set()

    def look(self, data: bytes) -> None:
        """What does this ask of us?"""
        text = self.tail + data
        self.tail = text[1 - MARK_BYTES :]
        for kind, count in MARK.findall(text):
            self.go_on.clear()
            if kind == b"gate":
                self.gate.arrive(self, self.go_on, int(count))
            else:
                asyncio.get_running_loop().call_later(int(count) / 1000, self.go_on.set)

    async def ask(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while data := await client.read(CHUNK_BYTES):
            self.look(data)
            server.write(data)
            await server.drain()

    async def answer(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await server.read(CHUNK_BYTES):
            await self.go_on.wait()
            client.write(data)
            await client.drain()

    async def echo(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        while data := await client.readline():
            self.look(data)
            await self.go_on.wait()
            answer.write(data)
            await answer.drain()


class Relay:
    """All connections."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.gate = Gate()
        self.open = self.total = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.total += 1
        connection = Connection(self.gate)
        try:
            if self.port:
                await self.hand_on(connection, reader, writer)
            else:
                await connection.echo(reader, writer)
        except OSError:
            pass  # a client may reset its connection, and does when it is killed
        finally:
            self.gate.waiting.pop(connection, None)
            writer.transport.abort() if not self.port else writer.close()
            self.open -= 1

    async def hand_on(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        to_us, to_server = await asyncio.open_connection("127.0.0.1", self.port)
        pumps = [
            asyncio.ensure_future(connection.ask(reader, to_server)),
            asyncio.ensure_future(connection.answer(to_us, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_server.close()
            for pump in pumps:
                pump.cancel()
            for result in await asyncio.gather(*pumps, return_exceptions=True):
                if isinstance(result, Exception) and not isinstance(result, OSError):
                    raise result

    async def tell(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counts = {"open": self.open, "total": self.total, "at_gate": self.gate.most}
        writer.write(json.dumps(counts).encode())
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()


async def main(port: int, certificate: str = "") -> None:
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    relay = Relay(port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0, ssl=context, backlog=1000)
    control = await asyncio.start_server(relay.tell, "127.0.0.1", 0)
    print(*(each.sockets[0].getsockname()[1] for each in (server, control)), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
