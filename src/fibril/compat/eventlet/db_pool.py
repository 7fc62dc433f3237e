"""eventlet.db_pool, served by fibril: pools of connections to a database.

The idea: a Pool of (when last used, when made, connection). Who borrows gets a wrapper whose
close() gives the connection back. What is too old, or has been idle for too long, is closed when it
comes back, when it would be lent, and by a timer.

Threads: owner.
"""

from __future__ import annotations

import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fibril import _core

from . import hubs, tpool
from .pools import Pool
from .timeout import Timeout

__all__ = [
    "BaseConnectionPool",
    "ConnectTimeout",
    "ConnectionPool",
    "DatabaseConnector",
    "GenericConnectionWrapper",
    "PooledConnectionWrapper",
    "RawConnectionPool",
    "TpooledConnectionPool",
    "cleanup_rollback",
]

_NOT_GIVEN: Any = object()


class ConnectTimeout(Exception):
    """The database did not take the connection in time."""


def cleanup_rollback(conn: Any) -> None:
    """What is done with a connection that comes back, unless the pool is given something else."""
    conn.rollback()


class GenericConnectionWrapper:
    """A connection, whose names are those of what it wraps."""

    def __init__(self, baseconn: Any) -> None:
        self._base = baseconn

    def __getattr__(self, name: str) -> Any:
        if name == "_base":
            raise AttributeError(name)
        return getattr(self._base, name)

    def __enter__(self) -> Any:
        return self._base.__enter__()

    def __exit__(self, *exc_info: Any) -> Any:
        return self._base.__exit__(*exc_info)

    def __repr__(self) -> str:
        return repr(self._base)


class PooledConnectionWrapper(GenericConnectionWrapper):
    """A connection that was borrowed: false, and empty, once it was given back."""

    def __init__(self, baseconn: Any, pool: BaseConnectionPool) -> None:
        super().__init__(baseconn)
        self._pool: BaseConnectionPool | None = pool

    def __bool__(self) -> bool:
        return self._base is not None

    def _destroy(self) -> None:
        self._pool = self._base = None

    def close(self) -> None:
        """Give it back."""
        if self and self._pool is not None:
            self._pool.put(self)
        self._destroy()

    def __del__(self) -> None:
        if sys is not None and vars(self).get("_base") is not None:
            self.close()


class BaseConnectionPool(Pool):
    """At most max_size connections that db_module.connect(*args, **kwargs) makes.

    max_idle, max_age: seconds after which an unused one, or any, is closed; None never.
    connect_timeout: seconds. cleanup: called with a connection that comes back; one for which it
    fails is closed.

    Switches: if it must wait. Threads: owner.
    """

    def __init__(
        self,
        db_module: Any,
        min_size: int = 0,
        max_size: int = 4,
        *args: Any,
        max_idle: float | None = 10,
        max_age: float | None = 30,
        connect_timeout: float | None = 5,
        cleanup: Callable[[Any], object] | None = cleanup_rollback,
        **kwargs: Any,
    ) -> None:
        self._db_module, self._args, self._kwargs = db_module, args, kwargs
        self.max_idle, self.max_age = max_idle, max_age
        self.connect_timeout, self.cleanup = connect_timeout, cleanup
        self._timer: Any = None
        super().__init__(min_size, max_size, order_as_stack=True)

    def connect(self) -> Any:
        """A fresh connection."""
        raise NotImplementedError("use RawConnectionPool or TpooledConnectionPool")

    def create(self) -> Any:
        """A connection with its times, as the pool keeps it."""
        now = _core.now()
        return now, now, self.connect()

    # ---- age ----

    def _is_over(self, last_used: float, created: float) -> bool:
        now = _core.now()
        is_old = self.max_age is not None and now - created >= self.max_age
        return is_old or (self.max_idle is not None and now - last_used >= self.max_idle)

    def _watch(self) -> None:
        """Have the timer look when the first of the free ones may be over."""
        if self._timer is None and self.free_items:
            limits = [limit for limit in (self.max_idle, self.max_age) if limit is not None]
            if limits:
                hub = hubs.get_hub()
                self._timer = hub.schedule_call_global(max(0.01, min(limits)), self._expire)

    def _expire(self) -> None:
        self._timer = None
        kept: deque[Any] = deque()
        while self.free_items:
            last_used, created, conn = self.free_items.popleft()
            if self._is_over(last_used, created):
                self._drop(conn)
            else:
                kept.append((last_used, created, conn))
        self.free_items = kept
        self._watch()

    def _drop(self, conn: Any) -> None:
        self.current_size -= 1
        self._safe_close(conn, quiet=True)

    # ---- lending ----

    def get(self) -> Any:
        """Borrow a connection; wait until there is one."""
        while True:
            last_used, created, conn = super().get()
            if conn is not None and (last_used == created or not self._is_over(last_used, created)):
                break
            if conn is not None:
                self._drop(conn)
            else:
                self.current_size -= 1  # it was over when it came back: make another
        wrapped = PooledConnectionWrapper(conn, self)
        wrapped._created = created  # type: ignore[attr-defined]
        return wrapped

    def put(self, conn: Any, cleanup: Any = _NOT_GIVEN) -> None:
        """Give a connection back."""
        created = getattr(conn, "_created", _core.now()) if conn is not None else 0.0
        base = self._unwrap_connection(conn)
        if isinstance(conn, PooledConnectionWrapper):
            conn._destroy()
        if base is not None:
            base = self._cleaned(base, self.cleanup if cleanup is _NOT_GIVEN else cleanup)
        now = _core.now()
        if base is not None and self._is_over(now, created):
            self._safe_close(base, quiet=True)
            base = None
        if base is not None:
            super().put((now, created, base))
            self._watch()
        elif self.channel.getting():
            super().put((now, now, None))  # who waits makes another
        else:
            self.current_size -= 1

    def _cleaned(self, conn: Any, cleanup: Any) -> Any:
        """The connection, or None if it was of no more use."""
        if not cleanup:
            return conn
        try:
            cleanup(conn)
        except Exception as error:
            if not isinstance(error, AttributeError):
                print(f"db_pool: cleaning up failed: {error!r}", file=sys.stderr)
            self._safe_close(conn, quiet=True)
            return None
        except BaseException:
            self.current_size -= 1
            self._safe_close(conn, quiet=True)
            raise
        return conn

    @contextmanager
    def item(self, cleanup: Any = _NOT_GIVEN) -> Iterator[Any]:
        """Borrow a connection for a ``with`` block."""
        conn = self.get()
        try:
            yield conn
        finally:
            self.put(conn, cleanup=cleanup)

    def clear(self) -> None:
        """Close all that are not lent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        free, self.free_items = self.free_items, deque()
        for _, _, conn in free:
            self._drop(conn)

    @staticmethod
    def _unwrap_connection(conn: Any) -> Any:
        return getattr(conn, "_base", None)

    @staticmethod
    def _safe_close(conn: Any, quiet: bool = False) -> None:
        try:
            close = conn.close
        except AttributeError:
            return
        try:
            close()
        except Exception:
            if not quiet:
                traceback.print_exc()

    def __del__(self) -> None:
        if "_timer" in vars(self):
            self.clear()


class RawConnectionPool(BaseConnectionPool):
    """Connections whose waiting lets others run by itself: of drivers in Python, or served ones."""

    def connect(self) -> Any:
        """A fresh connection."""
        with Timeout(self.connect_timeout, ConnectTimeout()):
            return self._db_module.connect(*self._args, **self._kwargs)


class TpooledConnectionPool(BaseConnectionPool):
    """Connections whose calls are made in native threads: see tpool.Proxy."""

    def connect(self) -> Any:
        """A fresh connection, as a Proxy."""
        with Timeout(self.connect_timeout, ConnectTimeout()):
            conn = tpool.execute(self._db_module.connect, *self._args, **self._kwargs)
        return tpool.Proxy(conn, autowrap_names=("cursor",))


ConnectionPool = TpooledConnectionPool


class DatabaseConnector:
    """A pool for each database: get(host, dbname). credentials: by host, with a default.

    conn_pool: the class of the pools.

    Switches: never. Threads: owner.
    """

    def __init__(
        self, module: Any, credentials: Any, conn_pool: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        self._module, self._credentials = module, credentials
        self._conn_pool = conn_pool or ConnectionPool
        self._args, self._kwargs = args, kwargs
        self._databases: dict[tuple[str, str], BaseConnectionPool] = {}

    def credentials_for(self, host: str) -> Any:
        """How to log in at a host."""
        return self._credentials.get(host, self._credentials.get("default"))

    def get(self, host: str, dbname: str, port: int | None = None) -> BaseConnectionPool:
        """The pool for a database; made when first asked for."""
        if (host, dbname) not in self._databases:
            options = {**self._kwargs, **(self.credentials_for(host) or {}), "db": dbname}
            options["host"] = host
            if port:
                options["port"] = port
            made = self._conn_pool(self._module, *self._args, **options)
            self._databases[host, dbname] = made
        return self._databases[host, dbname]
