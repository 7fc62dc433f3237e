"""WSGIServer: a server of TCP, or of Unix sockets, whose handler speaks HTTP to an application.

The idea: it is fibril.server's StreamServer, with what the handlers of all connections share: the
application, the environment's beginning, the logs. And it knows its handlers, so that it can end
without losing requests: once it is closed each answer says that it is the last; a client that sends
nothing more has its connection closed after a moment, in which what was under way still comes.

Invariants: `environ` is never handed out, only copies. `log` and `error_log` are files.
Do not add: HTTP (handler.py), listening and accepting (fibril.server).
"""

from __future__ import annotations

import _socket
import sys
from socket import AF_INET, AF_INET6, IPPROTO_TCP, SHUT_RD, TCP_NODELAY
from typing import Any, ClassVar
from wsgiref.util import FileWrapper

import fibril
from fibril import _core
from fibril.http import h1
from fibril.http.environ import WSGISecureEnviron
from fibril.http.handler import WSGIHandler
from fibril.http.log import ERROR, INFO, as_log
from fibril.server import StreamServer, say_farewell
from fibril.socket import getfqdn
from fibril.timeout import Deadline

__all__ = ["WSGIServer"]


class WSGIServer(StreamServer):
    """Serve a WSGI application by HTTP/1.1, or by HTTPS.

    listener, backlog, spawn: as for fibril.server.StreamServer. application: a WSGI application.
    log, error_log: where a line is written for each request, and for each that is refused:
    "default" is stderr, None nowhere; a file, or a logger. error_log is wsgi.errors, too.
    handler_class: a subclass of WSGIHandler. environ: what environments have beside the usual.
    What has no meaning here is for TLS: ssl_context, or certfile, keyfile …

    Needs httptools: `pip install 'fibril[wsgi]'`.

    stop() lets requests that have come be answered, for as long as its timeout allows.

    Switches: never; start(), stop() and serve_forever() if they must wait. Threads: owner; stop()
    and close() from any. Raises ImportError without httptools; else as StreamServer.

    >>> import fibril
    >>> from urllib.request import urlopen
    >>> from fibril.pywsgi import WSGIServer
    >>> def application(environ, start_response):
    ...     start_response("200 OK", [("Content-Type", "text/plain")])
    ...     return [b"hello"]
    >>> with WSGIServer("127.0.0.1:0", application, log=None) as server:
    ...     server.start()
    ...     fibril.offload(lambda: urlopen(f"http://127.0.0.1:{server.server_port}/").read())
    b'hello'
    """

    #: What is made for each connection: handler_class(socket, address, server).handle() is called.
    handler_class: Any = WSGIHandler
    #: The class of the environments that applications get; PEP 3333 wants dict itself.
    environ_class: Any = dict
    #: What an environment is made into before it is printed with an error.
    secure_environ_class: Any = WSGISecureEnviron
    #: What each environment has.
    base_env: ClassVar[dict[str, Any]] = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "fibril/{} Python/{}.{}".format(
            fibril.__version__, *sys.version_info[:2]
        ),
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    #: Seconds that a connection without a request is kept after close(), for one that is under way.
    last_request_s = 0.25

    #: The files that lines are written to; never None.
    log: Any = None
    error_log: Any = None
    #: What is called for each request.
    application: Any = None
    #: What environments begin with.
    environ: Any = None
    #: Is each answer the last of its connection, because the server is closed?
    is_ending = False

    _hub: _core.Hub  # of the thread that serves

    def __init__(
        self,
        listener: Any,
        application: Any = None,
        backlog: int | None = None,
        spawn: Any = "default",
        log: Any = "default",
        error_log: Any = "default",
        handler_class: Any = None,
        environ: Any = None,
        **ssl_args: Any,
    ) -> None:
        h1.require_parser()
        if "handle" in ssl_args:  # BaseServer's argument, which would replace ours
            raise TypeError("a WSGIServer has no handle: what answers requests is `application`")
        self._handlers: dict[Any, _core.Fiber] = {}  # each with its task
        self._all_done = _core.Event()
        self._all_done.set()
        super().__init__(listener, backlog=backlog, spawn=spawn, **ssl_args)
        if application is not None:
            self.application = application
        if handler_class is not None:
            self.handler_class = handler_class
        self.log = as_log(log, INFO)
        self.error_log = as_log(error_log, ERROR)
        self.set_environ(environ)
        self.set_max_accept()

    # ---- environments ----

    def set_environ(self, environ: Any = None) -> None:
        """Set what environments begin with: `base_env`, the scheme, and these items."""
        if environ is not None:
            self.environ = environ
        given = self.environ
        self.environ = self.environ_class(self.base_env)
        self.environ["wsgi.url_scheme"] = "https" if self.ssl_enabled else "http"
        if given is not None:
            self.environ.update(given)
        if self.environ.get("wsgi.errors") is None:
            self.environ["wsgi.errors"] = self.error_log

    def set_max_accept(self) -> None:
        """Where several processes accept, take one client at a time."""
        if self.environ.get("wsgi.multiprocess"):
            self.max_accept = 1

    def get_environ(self) -> dict[str, Any]:
        """What a new environment begins with: a copy."""
        environ: dict[str, Any] = self.environ_class(self.environ)
        return environ

    def update_environ(self) -> None:
        """Called when it listens: add the server's name and port."""
        address = self.address
        name = port = ""
        if isinstance(address, tuple):
            port = str(address[1])
            name = self.environ.get("SERVER_NAME") or getfqdn(address[0])
        self.environ.setdefault("SERVER_NAME", name)
        self.environ.setdefault("SERVER_PORT", port)

    # ---- serving ----

    def init_socket(self) -> None:
        """Listen, if it does not yet."""
        super().init_socket()
        if self.socket.family in (AF_INET, AF_INET6):
            # Connections have it from here: no part of an answer waits for an acknowledgement.
            self.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self.is_ending = False
        self.update_environ()

    def handle(self, sock: Any, address: Any) -> None:
        """Have a handler answer the requests of a connection."""
        handler = self.handler_class(sock, address, self)
        self._hub = _core.get_hub()
        self._handlers[handler] = _core.getcurrent()
        self._all_done.clear()
        try:
            handler.handle()
        finally:
            del self._handlers[handler]
            if not self._handlers:
                self._all_done.set()

    # ---- ending ----

    def close(self) -> None:
        """Accept no more; connections end with the answer to what they are asked next."""
        super().close()
        if not self.is_ending:
            self.is_ending = True
            if self._handlers:
                later = (_core.spawn_later, self.last_request_s, self._dismiss_idle)
                self._hub.call_soon_threadsafe(*later)  # stop() may come from anywhere

    def _dismiss_idle(self) -> None:
        """End the connections on which nothing has come."""
        for handler in list(self._handlers):
            reader = getattr(handler, "rfile", None)
            if self.is_ending and getattr(reader, "is_idle", False):
                _end_reading(handler.socket)

    def stop(self, timeout: float | None = None) -> None:
        """Close, wait until the requests that have come are answered, and kill who is not done.

        timeout: seconds to wait; None: the attribute stop_timeout. Without a pool nobody is killed.
        An application may call it, and goes on itself; then it does not wait without a pool.
        """
        deadline = Deadline(self.stop_timeout if timeout is None else timeout)
        self.close()
        if self.pool is None and _core.getcurrent() not in self._handlers.values():
            self._all_done.wait(deadline.remaining_s())
        remaining_s = deadline.remaining_s()
        super().stop(None if remaining_s is None else max(remaining_s, 0))


def _end_reading(sock: Any) -> None:
    """Let whoever waits to read from a connection find its end, behind what has come."""
    try:
        say_farewell(sock)  # an end without it would be taken for an attack
        _socket.socket.shutdown(sock, SHUT_RD)
    except OSError:
        pass  # the client was faster
