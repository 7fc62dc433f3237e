"""An echo server that ends well: it accepts no more, and finishes what it has begun.

Run it, talk to it with `nc 127.0.0.1 8888`, and end it with Ctrl-C, or `kill`, while somebody is
connected: he has ten seconds to say goodbye. A hundred are served at once; others wait in the
kernel.

    python examples/stream_server.py [PORT]

It prints, with PORT 0 the port that the system chose:

    listening on 127.0.0.1:8888
    served 1 connection
"""

import signal
import sys
from typing import Any

import fibril
from fibril import socket
from fibril.server import StreamServer


class EchoServer(StreamServer):
    """Sends back what arrives; each connection is handled in a task of its own."""

    served = 0

    def handle(self, client: socket.socket, address: Any) -> None:
        """Serve one client until it closes; the connection is closed when this returns."""
        while data := client.recv(4096):
            client.sendall(data)
        self.served += 1


def main() -> None:
    """Serve until a signal says to stop."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8888
    server = EchoServer(("127.0.0.1", port), spawn=100)
    for number in (signal.SIGINT, signal.SIGTERM):
        fibril.signal_handler(number, server.stop, timeout=10)
    server.start()
    print(f"listening on {server.server_host}:{server.server_port}", flush=True)
    server.serve_forever()
    print(f"served {server.served} connection{'s' * (server.served != 1)}")


if __name__ == "__main__":
    main()
