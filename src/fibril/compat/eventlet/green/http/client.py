"""eventlet.green.http.client, served by fibril: http.client on green sockets."""

from ... import patcher
from .. import socket, ssl

patcher.inject("http.client", globals(), ("socket", socket), ("ssl", ssl))
