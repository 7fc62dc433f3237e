"""gevent.baseserver, served by fibril."""

from fibril.baseserver import BaseServer, parse_address

__all__ = ["BaseServer", "parse_address"]
