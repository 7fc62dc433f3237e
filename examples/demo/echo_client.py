"""Many connections at once to an echo server, checking every byte that comes back.

    python echo_client.py PORT [--connections 1000] [--messages 100] [--seconds 4] [--bytes 64-64]

All connections are opened first. Then each sends one message, reads until all of it is back,
compares, and sends the next, until its messages or the seconds are used up; 0 means no limit. Every
message names its connection and its number, so a byte that got lost or went to somebody else shows.
The progress is printed as JSON lines ten times a second, the result as the last one; the exit code
is 1 if anything was lost. It is one plain selector loop and knows nothing of fibril.

Every connection has SO_LINGER 0 until its last message is back, and the client closes first: so no
socket of the server's port is left in TIME_WAIT, however a run ends.
"""

import argparse
import json
import random
import resource
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator

TICK_S = 0.1
STALL_S = 10.0
ENDS_AT_ONCE = struct.pack("ii", 1, 0)
ENDS_IN_ORDER = struct.pack("ii", 0, 0)


class Messages:
    """The messages of all connections: random sizes out of a range, random bytes, one seed."""

    def __init__(self, seed: int, bytes_min: int, bytes_max: int) -> None:
        self._random = random.Random(seed)
        self._noise = self._random.randbytes(1 << 20)
        self._bytes_min = bytes_min
        self._bytes_max = bytes_max

    def next(self, connection: int, number: int) -> bytes:
        """Message `number` of a connection: a label, then noise up to the length that was drawn."""
        length = self._bytes_min
        if length != self._bytes_max:
            length = self._random.randint(length, self._bytes_max)
        at = (connection * 7919 + number * 104729) % (len(self._noise) - self._bytes_max)
        return (b"%d/%d " % (connection, number) + self._noise[at : at + length])[:length]


class Conversation:
    """One connection: the message on its way and how much of it has come back."""

    def __init__(self, number: int, port: int, messages: Messages) -> None:
        self.number = number
        self.sent = self.back = self.bytes = 0
        self._messages = messages
        self._message = self._heard = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=STALL_S)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ENDS_AT_ONCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def say(self) -> None:
        """Send the next message; the one before is back, so there is room for all of it."""
        self._message = self._messages.next(self.number, self.sent)
        self._heard = b""
        self.sent += 1
        self.socket.sendall(self._message)

    def hear(self) -> bool:
        """Read what has arrived; true when the whole message is back, unharmed."""
        data = self.socket.recv(1 << 16)
        self._heard = heard = self._heard + data if self._heard else data
        if heard == self._message:
            self.back += 1
            self.bytes += len(heard)
            return True
        if not data or not self._message.startswith(heard):
            raise ConnectionError(f"message {self.number}/{self.sent} did not come back as sent")
        return False

    def close(self) -> None:
        """Close in order if every message is back, else at once."""
        if self.back == self.sent:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ENDS_IN_ORDER)
        self.socket.close()


class Crowd:
    """All conversations, driven by one selector."""

    def __init__(self, conversations: list[Conversation], limit: int, seconds: float) -> None:
        self.conversations = conversations
        self._limit = limit or sys.maxsize
        self._begin = time.monotonic()
        self._end = self._begin + (seconds or float("inf"))
        self._selector = selectors.DefaultSelector()

    def talk(self) -> Iterator[None]:
        """Exchange all messages; gives control back every tenth of a second."""
        for conversation in self.conversations:
            self._selector.register(conversation.socket, selectors.EVENT_READ, conversation)
            conversation.say()
        tick = time.monotonic() + TICK_S
        while self._selector.get_map():
            self._hear_the_ready()
            if time.monotonic() >= tick:
                tick += TICK_S
                yield

    def _hear_the_ready(self) -> None:
        ready = self._selector.select(STALL_S)
        if not ready:
            raise TimeoutError(f"no connection was answered for {STALL_S} s")
        may_go_on = time.monotonic() < self._end
        for key, _ in ready:
            conversation = key.data
            if conversation.hear():
                if may_go_on and conversation.sent < self._limit:
                    conversation.say()
                else:
                    self._selector.unregister(conversation.socket)

    def report(self, is_over: bool, trouble: str = "") -> None:
        """Print how far all have come as one JSON line."""
        back = sum(c.back for c in self.conversations)
        figures = {
            "seconds": round(time.monotonic() - self._begin, 3),
            "open": len(self.conversations),
            "messages": back,
            "bytes": sum(c.bytes for c in self.conversations),
            "lost" if is_over else "on_the_way": sum(c.sent for c in self.conversations) - back,
            "trouble": trouble,
        }
        print(json.dumps(figures), flush=True)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="many clients of an echo server")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--bytes", default="64-64", metavar="MIN-MAX")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    """Run the conversations and print what became of them; 0 if nothing was lost."""
    options = parse_options()
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    messages = Messages(options.seed, *map(int, options.bytes.split("-")))
    conversations = [Conversation(n, options.port, messages) for n in range(options.connections)]
    crowd = Crowd(conversations, options.messages, options.seconds)
    trouble = ""
    try:
        for _ in crowd.talk():
            crowd.report(is_over=False)
    except OSError as error:
        trouble = str(error)
    crowd.report(is_over=True, trouble=trouble)
    for conversation in conversations:
        conversation.close()
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
