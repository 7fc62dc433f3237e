"""An echo server for thousands of connections, written as if for one.

Run it, and talk to it from another terminal with `nc 127.0.0.1 8888`; Ctrl-C ends it:

    python examples/echo_server.py [PORT]

It prints, with PORT 0 the port that the system chose:

    listening on 127.0.0.1:8888
"""

import sys

import fibril
from fibril import socket


def serve(connection: socket.socket) -> None:
    """Send back what arrives until the client closes: one connection, one task."""
    with connection:
        while data := connection.recv(4096):
            connection.sendall(data)


def main() -> None:
    """Accept connections for ever."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8888))
    listener.listen(1024)
    host, port = listener.getsockname()
    print(f"listening on {host}:{port}", flush=True)
    while True:
        connection, _ = listener.accept()
        fibril.spawn(serve, connection)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("ended")
