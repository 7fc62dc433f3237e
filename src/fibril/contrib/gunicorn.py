"""A worker for gunicorn whose connections are tasks.

    gunicorn -k fibril.contrib.gunicorn.FibrilWorker app:app

The idea: gunicorn's own code for asynchronous workers parses requests and writes answers with
blocking sockets. Here is where it runs: a server for each listener, a task for each connection, and
a main task that tells the arbiter that the worker lives.

The standard library is patched in the worker, after the fork and before the application is
imported; with --preload after it, which is as well, because the patch finds what was imported.

Threads: the worker's main thread. Do not add: HTTP.
"""

from __future__ import annotations

import functools
import os
import socket
from typing import Any

from gunicorn.sock import ssl_context
from gunicorn.workers.base_async import AsyncWorker

from fibril import GreenletExit, Timeout, monkey, sleep, spawn
from fibril.event import Event
from fibril.pool import Pool
from fibril.server import StreamServer

__all__ = ["FibrilWorker"]

#: How often the arbiter hears of the worker, in seconds.
_BEAT_S = 1.0


class FibrilWorker(AsyncWorker):  # type: ignore[misc]
    """Serves no more than `worker_connections` at once, in as many tasks.

    On TERM it accepts nothing more and finishes what it has begun within `graceful_timeout`.
    gunicorn makes it, and calls its methods.

    Switches: if it must wait: run() for the end, the others for a client. Threads: owner.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ending = Event()

    def init_process(self) -> None:
        """Patch the standard library, then import the application and run()."""
        monkey.patch_all()
        super().init_process()

    # The arbiter, signal handlers and requests say that the worker is to end by this attribute.
    @property
    def alive(self) -> bool:
        """Is the worker to go on? Whoever says no wakes its main task."""
        return self._is_alive

    @alive.setter
    def alive(self, value: bool) -> None:
        self._is_alive = value
        if not value:
            self._ending.set()

    def timeout_ctx(self) -> Timeout:
        """For how long a client may say nothing between two requests."""
        return Timeout(self.cfg.keepalive, False)

    def run(self) -> None:
        """Serve until the worker is to end."""
        pool = Pool(self.worker_connections)
        servers = [self._serve(listener, pool) for listener in self.sockets]
        while self.alive:
            self.notify()
            if self.ppid != os.getppid():
                self.log.info("Parent changed, shutting down: %s", self)
                break
            self._ending.wait(_BEAT_S)
        self._end(servers, pool)

    def _serve(self, listener: Any, pool: Pool) -> StreamServer:
        options = {"ssl_context": ssl_context(self.cfg)} if self.cfg.is_ssl else {}
        handle = functools.partial(self.handle, listener)
        server = StreamServer(listener.sock, handle, spawn=pool, **options)
        server.start()
        return server

    def _end(self, servers: list[StreamServer], pool: Pool) -> None:
        """Close the listeners, and give the connections their time."""
        for server in servers:
            server.close()
        beat = spawn(self._beat)
        pool.join(timeout=self.cfg.graceful_timeout)
        beat.kill()
        if len(pool):
            self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
        for server in servers:
            server.stop(timeout=1)

    def _beat(self) -> None:
        while True:
            self.notify()
            sleep(_BEAT_S)

    def handle(self, listener: Any, client: socket.socket, addr: Any) -> None:
        """Serve one connection, in its task."""
        client.setblocking(True)
        super().handle(listener, client, addr)

    def handle_request(self, *args: Any) -> Any:
        """Answer one request. True: another may follow."""
        try:
            return super().handle_request(*args)
        except (GreenletExit, SystemExit):
            return None  # the worker ends
