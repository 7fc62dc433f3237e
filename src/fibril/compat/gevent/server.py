"""gevent.server, served by fibril."""

from fibril.server import DatagramServer, StreamServer

__all__ = ["DatagramServer", "StreamServer"]
