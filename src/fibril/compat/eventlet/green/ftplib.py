"""eventlet.green.ftplib, served by fibril: ftplib on green sockets."""

from .. import patcher
from . import socket, ssl

patcher.inject("ftplib", globals(), ("socket", socket), ("ssl", ssl))
