"""eventlet.green.SocketServer, served by fibril: socketserver on green sockets."""

from .. import patcher
from . import os, select, selectors, socket, threading

patcher.inject(
    "socketserver",
    globals(),
    ("os", os),
    ("select", select),
    ("selectors", selectors),
    ("socket", socket),
    ("threading", threading),
)
