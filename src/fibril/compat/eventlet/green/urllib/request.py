"""eventlet.green.urllib.request, served by fibril: urllib.request on green sockets."""

from ... import patcher
from .. import http, socket, ssl, time
from ..http import client

patcher.inject(
    "urllib.request",
    globals(),
    ("http", http),
    ("http.client", client),
    ("socket", socket),
    ("ssl", ssl),
    ("time", time),
)
