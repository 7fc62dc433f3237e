"""A local web server of pages that take their time, for the demo and the tests.

    python page_server.py [--latency 0.3] [--pages 20] [--tls certificate.pem]

/page/1 … /page/N are pages of different sizes, any other path is page 1. Each answer comes after
the latency and tells its checksum and when it was asked for, in headers. The server picks a free
port and prints it as JSON; it ends when its stdin ends, printing how many pages it served and the
most that it had in work at once. It is plain asyncio and knows nothing of fibril.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import ssl
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Pages:
    """The pages, what they cost, and how many were asked for."""

    count: int
    latency_s: float
    content: list[bytes] = field(default_factory=list)
    served: int = 0
    open: int = 0
    peak: int = 0

    def __post_init__(self) -> None:
        make = random.Random(0)
        self.content = [make.randbytes(1000 + 900 * n * n) for n in range(self.count)]

    async def answer(self, path: str) -> bytes:
        """The whole HTTP answer for a path, after the latency."""
        asked_at = time.monotonic()
        self.open += 1
        self.peak = max(self.peak, self.open)
        await asyncio.sleep(self.latency_s)
        self.open -= 1
        self.served += 1
        return self._response(self.content[self._index(path)], asked_at)

    def _index(self, path: str) -> int:
        number = path.rpartition("/")[2]
        return int(number) - 1 if number.isdigit() and 1 <= int(number) <= self.count else 0

    def _response(self, body: bytes, asked_at: float) -> bytes:
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"X-Sha256: {hashlib.sha256(body).hexdigest()}\r\n"
            f"X-Asked-At: {asked_at}\r\nX-Answered-At: {time.monotonic()}\r\n\r\n"
        )
        return head.encode() + body


async def serve(pages: Pages, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection until the client closes it."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            writer.write(await pages.answer(request.split(b" ", 2)[1].decode()))
            await writer.drain()
    writer.close()


async def stdin_ends() -> None:
    """Wait until whoever started the server closes its stdin, or ends."""
    ended = asyncio.Event()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            ended.set()

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), read)
    await ended.wait()
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


def tls_context(certificate: str | None) -> ssl.SSLContext | None:
    """The server side of TLS with a certificate and key from one file; None means plain HTTP."""
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(description="pages that take their time")
    parser.add_argument("--latency", type=float, default=0.3, metavar="S")
    parser.add_argument("--pages", type=int, default=20)
    parser.add_argument("--tls", metavar="PEM")
    options = parser.parse_args()
    pages = Pages(options.pages, options.latency)
    server = await asyncio.start_server(
        lambda reader, writer: serve(pages, reader, writer),
        "127.0.0.1",
        0,
        ssl=tls_context(options.tls),
        backlog=1024,
    )
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await stdin_ends()
    server.close()
    print(json.dumps({"served": pages.served, "peak": pages.peak}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
