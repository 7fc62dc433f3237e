"""The servers of bench_wsgi.py: `python http_servers.py CONTENDER` prints its port, and serves.

Each says hello, in one process on one core, and writes no log. The two of gevent's names are the
same lines. uvicorn serves an ASGI application, as it is meant to, by httptools and uvloop.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from echo_servers import BACKLOG, LOCALHOST, announce, listening

BODY = b"Hello, world!"
FIELDS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", FIELDS)
    return [BODY]


def serve_wsgi(pywsgi: Any) -> None:
    server = pywsgi.WSGIServer(LOCALHOST, application, backlog=BACKLOG, log=None)
    server.start()
    announce(server.socket)
    server.serve_forever()


def fibril() -> None:
    from fibril import pywsgi

    serve_wsgi(pywsgi)


def gevent() -> None:
    from gevent import pywsgi

    serve_wsgi(pywsgi)


async def asgi_application(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    headers = [(name.lower().encode(), value.encode()) for name, value in FIELDS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


def uvicorn() -> None:
    import socket

    import uvicorn as server

    options: dict[str, Any] = {"loop": "uvloop", "http": "httptools", "lifespan": "off"}
    config = server.Config(asgi_application, log_config=None, access_log=False, **options)
    server.Server(config).run(sockets=[listening(socket, "tcp")])


SERVERS: dict[str, Callable[[], None]] = {"fibril": fibril, "gevent": gevent, "uvicorn": uvicorn}

if __name__ == "__main__":
    SERVERS[sys.argv[1]]()
