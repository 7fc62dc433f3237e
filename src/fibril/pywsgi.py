"""A server of WSGI applications by HTTP/1.1; also gevent's module of that name.

The idea: a task for each connection reads requests, calls the application, and sends what it
returns; so an application that waits lets others be served. Requests are read by httptools.
Programs that have no server by themselves: `python -m fibril.pywsgi module:application -b :8080`.

Do not add: how it is done; that is in fibril.http.
"""

from __future__ import annotations

import argparse
import importlib

from fibril.http.answer import date_of as format_date_time
from fibril.http.body import Input
from fibril.http.body import InvalidClientInput as _InvalidClientInput
from fibril.http.environ import Environ, SecureEnviron, WSGISecureEnviron
from fibril.http.h1 import LINE_BYTES_MAX as MAX_REQUEST_LINE
from fibril.http.h1 import InvalidClientRequest as _InvalidClientRequest
from fibril.http.handler import WSGIHandler
from fibril.http.log import LoggingLogAdapter
from fibril.http.message import read_message as headers_factory
from fibril.http.server import WSGIServer

__all__ = [
    "Environ",
    "Input",
    "LoggingLogAdapter",
    "MAX_REQUEST_LINE",
    "SecureEnviron",
    "WSGIHandler",
    "WSGISecureEnviron",
    "WSGIServer",
    "_InvalidClientInput",
    "_InvalidClientRequest",
    "format_date_time",
    "headers_factory",
    "main",
]


def main(server_class: type[WSGIServer] = WSGIServer) -> None:
    """The command `python -m fibril.pywsgi module:application -b ADDRESS`: serve until Ctrl-C.

    The standard library is patched before the module is imported.

    Switches: always. Threads: any.
    """
    from fibril import monkey

    monkey.patch_all()
    parser = argparse.ArgumentParser(description="Serve a WSGI application by HTTP.")
    parser.add_argument("app", help="what to serve, as module:callable")
    parser.add_argument("-b", "--bind", default=":8080", help="where: host:port, :port, a path")
    options = parser.parse_args()
    module, _, name = options.app.partition(":")
    if not name:
        parser.error(f"{options.app!r} does not say what to serve. Write module:callable.")
    application = getattr(importlib.import_module(module), name)
    server_class(options.bind, application).serve_forever()


if __name__ == "__main__":
    main()
