"""eventlet.green.http.server, served by fibril: http.server on green sockets."""

from ... import patcher
from .. import SocketServer, select, socket

patcher.inject(
    "http.server",
    globals(),
    ("socket", socket),
    ("select", select),
    ("socketserver", SocketServer),
)
