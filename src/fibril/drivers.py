"""Libraries of C code that wait by themselves: how each of them lets other tasks run.

The idea: the patch replaces what waits in Python; a database driver in C waits where nobody can
replace it. Some let a function of ours wait: it is given to them. For the others the call that
waits is made in a native thread, and the task waits for that. Which library is served how is one
table, KNOWN: `fibril doctor` reads it, too.

Invariants: a library is seen to when it is imported, none is imported from here, and what the
program itself has set stays. Of the calls of one connection and its cursors one is made at a time,
also if the task that made it was killed: it goes on in its thread, and the next one waits for it.

No library here wants all calls of an object in one thread; each takes them from any, one at a time.
So a call goes to whoever is free, and there are at most as many threads as objects in use.
Do not add: libraries that wait in Python; the patch serves those.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fibril import _core, native
from fibril.libraries import when_imported

__all__ = ["KNOWN", "THREADS_MAX", "Driver", "find_used", "offload_calls", "serve"]

THREADS_MAX = 256  # for all such calls together


class Driver:
    """A library that waits in C."""  # no NamedTuple: on 3.15 that needs `ast`, at each import

    def __init__(
        self,
        name: str,
        module: str,  # which, when it is imported, shows that the library is used
        how: str,  # it is served
        *,
        calls: tuple[str, ...] = (),  # what of `module` is moved to threads
        serve: str = "",  # or the function of this module that serves it
        is_served: bool = True,  # False: `how` is what the program can do
    ) -> None:
        self.name, self.module, self.how = name, module, how
        self.calls, self.serve, self.is_served = calls, serve, is_served


_MYSQL = """
Connection.__init__ Connection.autocommit Connection.change_user Connection.close Connection.commit
Connection.kill Connection.next_result Connection.ping Connection.query Connection.rollback
Connection.select_db Connection.set_character_set Connection.shutdown Connection.stat
Connection.store_result
"""
_ORACLE = """
connection.connect connection.Connection.cancel connection.Connection.commit
connection.Connection.ping connection.Connection.rollback cursor.Cursor.callfunc
cursor.Cursor.callproc cursor.Cursor.execute cursor.Cursor.executemany cursor.Cursor.fetchall
cursor.Cursor.fetchmany cursor.Cursor.fetchone lob.LOB.read lob.LOB.write
pool.ConnectionPool.acquire
"""
_BY_HAND = "call it by fibril.offload(function, ...), a function for each piece of work"

KNOWN = (
    Driver(
        "psycopg2",
        "psycopg2.extensions",
        "fibril waits for its sockets (set_wait_callback), unless the program has set a callback "
        "of its own. psycopg2 itself refuses COPY and large objects then",
        serve="_serve_psycopg2",
    ),
    Driver(
        "psycopg",
        "psycopg.waiting",
        "its function wait() is one that the patch serves, not the one in C",
        serve="_serve_psycopg",
    ),
    Driver("mysqlclient", "MySQLdb.connections", "in native threads", calls=tuple(_MYSQL.split())),
    Driver(
        "mysqlclient",
        "MySQLdb.cursors",
        "in native threads",
        calls=tuple(f"CursorUseResultMixIn.fetch{which}" for which in ("one", "many", "all")),
    ),
    Driver(
        "python-ldap",
        "ldap.ldapobject",
        "in native threads",
        calls=("SimpleLDAPObject._ldap_call",),
    ),
    Driver(
        "oracledb",
        "oracledb",
        "its thin mode waits in Python; after init_oracle_client() (thick mode) in native threads",
        calls=tuple(_ORACLE.split()),
        serve="_serve_oracledb",
    ),
    Driver("pyodbc", "pyodbc", _BY_HAND, is_served=False),
    Driver("cx_Oracle", "cx_Oracle", f"{_BY_HAND}; or use oracledb", is_served=False),
    Driver("pymssql", "pymssql._mssql", _BY_HAND, is_served=False),
    Driver("pylibmc", "_pylibmc", f"{_BY_HAND}; or use pymemcache", is_served=False),
    Driver("confluent-kafka", "confluent_kafka.cimpl", _BY_HAND, is_served=False),
    Driver(
        "grpcio",
        "grpc._cython.cygrpc",
        "its own threads are tasks after the patch and block in C. Use it in a process of its own, "
        "or patch with thread=False and call it by fibril.offload",
        is_served=False,
    ),
)


def find_used() -> list[Driver]:
    """The libraries of the table that this program has imported.

    Switches: never. Threads: any.
    """
    return [driver for driver in KNOWN if driver.module in sys.modules]


def serve(is_left_alone: Callable[[str], bool]) -> None:
    """See to the known libraries, now and when they are imported; but for those left alone.

    Switches: never. Threads: any; called once, by the patch of sockets.
    """
    for driver in KNOWN:
        if driver.is_served:
            when_imported(driver.module, functools.partial(_serve, driver, is_left_alone))


def _serve(driver: Driver, is_left_alone: Callable[[str], bool], module: ModuleType) -> None:
    if is_left_alone(driver.module):
        return
    if driver.serve:
        globals()[driver.serve](module)
    else:
        _move(driver, module)


def offload_calls(*names: str) -> None:
    """Have calls of a C library made in native threads: the calling task waits, the others go on.

    names: "module.function" or "module.Class.method", as "MySQLdb.connections.Connection.query";
    what is not imported yet is seen to when it is. A method that a C type has is put on the classes
    in Python that are derived from that type. Of the calls of one object one is made at a time. A
    task that is killed lets its call go on without it; what it began, a query for example, is half
    done then: throw the connection away. The calls see the caller's context variables, but not what
    is told apart by threads. Known libraries need none of this, see fibril.drivers.KNOWN.

    Switches: never; the calls: always, but in a native thread of such a pool. Threads: any.
    Raises AttributeError if there is no such function, TypeError if it cannot be replaced.

    >>> import fibril, zlib
    >>> fibril.offload_calls("zlib.crc32", "a_driver.not_imported.Connection.query")
    >>> fibril.spawn(zlib.crc32, b"fibril").get()
    3442222835
    """
    for name in names:
        _Name(name).move()


# ---- which function a name means ----


class _Name:
    """The name of a function, of whose parts we learn at an import which are modules."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts = name.replace(":", ".").split(".")
        if len(self.parts) < 2 or not all(part.isidentifier() for part in self.parts):
            raise ValueError(
                f"cannot move calls of {name!r}: name a module and a function in it, as "
                '"library.Connection.query".'
            )

    def move(self) -> None:
        """Replace it now, or when the module that has it is imported."""
        modules = [".".join(self.parts[:count]) for count in range(1, len(self.parts))]
        loaded = [name for name in modules if name in sys.modules]
        if not loaded:
            when_imported(modules[0], lambda module: self.move())
            return
        rest = self.parts[loaded[-1].count(".") + 1 :]
        inner = f"{loaded[-1]}.{rest[0]}"
        if not hasattr(sys.modules[loaded[-1]], rest[0]) and inner in modules and _exists(inner):
            when_imported(inner, lambda module: self.move())
        else:
            _replace(sys.modules[loaded[-1]], rest, self.name)


def _exists(module_name: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(module_name) is not None
    except (ImportError, ValueError):
        return False


def _move(driver: Driver, module: ModuleType) -> None:
    """Of a known library: another version of it may not have all of them."""
    for name in driver.calls:
        try:
            _replace(module, name.split("."), f"{driver.module}.{name}")
        except AttributeError:
            pass


def _replace(module: ModuleType, path: list[str], name: str) -> None:
    *places, last = path
    owner: Any = functools.reduce(getattr, places, module)
    function = _defined(owner, last)
    if isinstance(function, type):
        raise TypeError(
            f"cannot move the calls of {name!r} to threads: it is a class. Name its methods, "
            "__init__ among them if that waits."
        )
    if isinstance(function, _Moved) or hasattr(function, "__fibril_moved__"):
        return
    if isinstance(owner, ModuleType):
        _exchange(function, _Moved(function))
        return
    if _put_into(owner, last, function):
        return
    done = [_put_into(each, last, function) for each in owner.__subclasses__()]
    if not any(done):
        raise TypeError(
            f"cannot move the calls of {name!r} to threads: {owner.__qualname__} is a type of C "
            "code, whose methods cannot be set, and no class in Python is derived from it. Name "
            "the function that calls it, or call it by fibril.offload(...)."
        )


def _defined(owner: Any, name: str) -> Any:
    """What a module or class has under a name, not bound."""
    for each in owner.__mro__ if isinstance(owner, type) else (owner,):
        if name in vars(each):
            return vars(each)[name]
    return getattr(owner, name)  # which raises, as a rule


def _put_into(owner: type, name: str, function: Any) -> bool:
    """Put a method that hands its calls over into a class; False for a type of C code."""
    if isinstance(function, classmethod | staticmethod):
        moved: Any = type(function)(_Moved(function.__func__))
    else:
        moved = _moved_method(getattr(owner, name))
    try:
        setattr(owner, name, moved)
    except TypeError:
        return False
    return True


def _exchange(function: Any, replacement: Any) -> None:
    """In each module that has it by name."""
    for module in list(sys.modules.values()):
        names = vars(module) if isinstance(module, ModuleType) else {}
        for name, value in list(names.items()):
            if value is function:
                setattr(module, name, replacement)


# ---- calls in native threads ----


class _Moved:
    """A function whose calls are made in native threads; in all else that function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__wrapped__ = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if native.get_ident() in native.worker_threads:
            return self.__wrapped__(*args, **kwargs)
        return _pool().apply(self.__wrapped__, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return f"<in native threads: {self.__wrapped__!r}>"


def _moved_method(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def in_a_thread(self: Any, *args: Any, **kwargs: Any) -> Any:
        if native.get_ident() in native.worker_threads:  # it was called by one that was moved
            return function(self, *args, **kwargs)
        return _turn_of(_connection_of(self)).call(function, (self, *args), kwargs)

    in_a_thread.__fibril_moved__ = True  # type: ignore[attr-defined]  # so it is not moved again
    return in_a_thread


def _connection_of(each: Any) -> Any:
    """A cursor's calls are its connection's (DB-API: Cursor.connection); others' are their own."""
    try:
        connection = each.connection
    except Exception:  # it has none, or is closed
        return each
    return each if connection is None else connection


class _Turn:
    """Who may call into one object: one at a time."""

    def __init__(self, of: Any) -> None:
        self._of = of  # it lives as long as somebody waits here, so its identity is its own
        self._lock = _core.LockType()

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        """Wait for the turn, and make the call in a native thread, which gives the turn on.

        Switches: always. Threads: any.
        """
        self._lock.acquire()
        token = [None]  # whoever takes it gives the turn on: the thread, once the call has begun

        def run() -> Any:
            try:
                token.pop()
            except IndexError:
                return None  # the task has left just now
            try:
                return function(*args, **kwargs)
            finally:
                self._lock.release()

        try:
            return _pool().apply(run)
        finally:
            try:
                token.pop()
            except IndexError:
                pass
            else:
                self._lock.release()


_turns_lock = native.RLock()  # a collection in the middle may call such a method


@functools.cache
def _turns() -> Any:
    """By the identity of what is called into, as long as somebody has one."""
    from weakref import WeakValueDictionary

    return WeakValueDictionary()


def _turn_of(each: Any) -> _Turn:
    with _turns_lock:
        turn: _Turn | None = _turns().get(id(each))
        if turn is None:
            turn = _turns()[id(each)] = _Turn(each)
        return turn


@functools.cache
def _pool() -> Any:
    from fibril.dispatch.threads import ThreadPool
    from fibril.dispatch.workers import IDLE_S

    return ThreadPool(THREADS_MAX, idle_task_timeout=IDLE_S)


# ---- those that let us wait ----


def _serve_psycopg2(extensions: Any) -> None:
    if extensions.get_wait_callback() is None:
        extensions.set_wait_callback(_wait_for_psycopg2)


def _wait_for_psycopg2(connection: Any) -> None:
    """Wait until a connection of psycopg2 has its answer; what is raised here closes it."""
    extensions: Any = sys.modules["psycopg2.extensions"]
    waits = {extensions.POLL_READ: _core.wait_read, extensions.POLL_WRITE: _core.wait_write}
    while (state := connection.poll()) != extensions.POLL_OK:
        if state not in waits:
            raise connection.OperationalError(f"poll() of a connection of psycopg2 said {state}")
        waits[state](connection.fileno(), None)


def _serve_psycopg(waiting: Any) -> None:
    """All its functions wait by select, poll or selectors, but for the one in C."""
    in_c = getattr(waiting, "wait_c", None)
    if in_c is not None:
        _exchange(in_c, getattr(waiting, "wait_poll", waiting.wait_selector))


def _serve_oracledb(oracledb: Any) -> None:
    """Which mode it is in is decided by init_oracle_client()."""
    begin = oracledb.init_oracle_client

    @functools.wraps(begin)
    def init_oracle_client(*args: Any, **kwargs: Any) -> Any:
        value = begin(*args, **kwargs)
        for driver in KNOWN:
            if driver.module == "oracledb":
                _move(driver, oracledb)
        return value

    _exchange(begin, init_oracle_client)
