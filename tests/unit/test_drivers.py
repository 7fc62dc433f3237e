"""Libraries of C code that wait: in threads, by a callback, or told why not; stand-ins for each."""

import array  # noqa: F401  # a type of C code that cannot be changed
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import fibril
from fibril import drivers, native
from fibril.drivers import _Moved, _turns, offload_calls
from tests.conftest import Gate, Interpreter, collect, until

# A library whose C type's `get` waits, a class derived from it, and functions.
LIBRARY = """
    import time
    from fibril.native import SimpleQueue, sleep, get_ident
    class Connection(SimpleQueue):
        name = "a name"
        busy = 0
        def __init__(self, number=0):
            sleep(0.01)
            self.number = number
            self.threads = {get_ident()}
            self.reset()
        def query(self, text, *, seconds=0.02):
            '''Ask.'''
            self.threads.add(get_ident())
            assert not self.busy, "two calls at once"
            self.busy = 1
            sleep(seconds)
            self.busy = 0
            if text == "bad":
                raise KeyError(text)
            return f"{self.number} {text}"
        def reset(self):
            return self.query("reset", seconds=0)
        @classmethod
        def make(cls): sleep(0.01); return cls()
        @staticmethod
        def wait(): sleep(0.01); return get_ident()
    def connect(number):
        sleep(0.01)
        return number, get_ident()
"""
BEGIN = """
    import fibril, time
    from fibril import native
    ran = []
    def tick():
        while True:
            fibril.sleep(0.001)
            ran.append(1)
    fibril.spawn(tick)
"""


@pytest.fixture
def run(interpreter: Interpreter) -> Callable[..., list[str]]:
    """What a program prints that can import `library` and what else is given."""

    def run(text: str, **modules: str) -> list[str]:
        for name, source in {"library": LIBRARY, **modules}.items():
            path = Path(interpreter.folder, *name.split("__", 1)).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(source), encoding="utf-8")
        return interpreter.out(textwrap.dedent(BEGIN) + textwrap.dedent(text)).splitlines()

    return run


CALLS = (
    '"library.Connection.__init__", "library.Connection.query", "library.Connection.reset",'
    '"library.Connection.make", "library.Connection.wait", "library.connect"'
)


@pytest.mark.parametrize("order", ["before", "after"])
def test_calls_that_are_named_are_made_in_native_threads(
    run: Callable[..., list[str]], order: str
) -> None:
    name = f"fibril.offload_calls({CALLS})"
    first, second = ("import library", name) if order == "after" else (name, "import library")
    lines = run(f"""
        {first}
        {second}
        Connection = library.Connection
        def use(number):
            connection = Connection(number)
            answers = [fibril.spawn(connection.query, text) for text in "abc"]
            return [answer.get() for answer in answers], connection
        tasks = [fibril.spawn(use, number) for number in range(20)]
        print([task.get()[0] for task in tasks] == [[f"{{n}} {{t}}" for t in "abc"]
                                                   for n in range(20)])
        print(all(native.get_ident() not in task.get()[1].threads for task in tasks))
        print(len(ran) > 0)
        try:
            Connection().query("bad")
        except KeyError as error:
            print(error)
        number, ident = library.connect(5)
        print(number, ident != native.get_ident(), Connection.wait() != native.get_ident())
        print(Connection.make().number, Connection.query.__doc__, library.connect.__name__)
    """)
    assert lines == ["True", "True", "True", "'bad'", "5 True True", "0 Ask. connect"]


def test_a_method_of_a_c_type_is_put_on_what_is_derived_from_it(
    run: Callable[..., list[str]],
) -> None:
    lines = run("""
        import _queue, library
        fibril.offload_calls("_queue.SimpleQueue.get")
        connection = library.Connection()
        task = fibril.spawn(connection.get)
        fibril.sleep(0.01)
        connection.put("an item")
        print(task.get(), "get" in vars(library.Connection), native.SimpleQueue.get)
    """)
    assert lines == ["an item True <method 'get' of '_queue.SimpleQueue' objects>"]


def test_what_cannot_be_replaced_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match=r"array is a type of C code, .* fibril.offload"):
        offload_calls("array.array.append")
    with pytest.raises(TypeError, match="it is a class"):
        offload_calls("threading.Thread")
    with pytest.raises(AttributeError):
        offload_calls("zlib.no_such")
    with pytest.raises(AttributeError):
        offload_calls("threading.Thread.no_such")
    for name in ("zlib", "", "a b.c", "zlib."):
        with pytest.raises(ValueError, match="name a module and a function"):
            offload_calls(name)


def test_a_function_that_others_have_by_name_is_replaced_there(
    run: Callable[..., list[str]],
) -> None:
    lines = run(
        """
        import other
        fibril.offload_calls("library.connect", "library.connect")
        print(other.connect(1)[1] != native.get_ident(), other.connect)
        print(other.connect is other.library.connect)
    """,
        other="import library\nfrom library import connect\n",
    )
    assert lines[0].startswith("True <in native threads: <function connect")
    assert lines[1] == "True"


class Slow:
    """Its calls pass a gate in native threads."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def call(self, value: object = None) -> object:
        return self.gate.pass_through(value)


moved = drivers._moved_method(Slow.call)


def test_who_is_killed_lets_his_call_go_on_and_the_next_one_waits(fresh: None, gate: Gate) -> None:
    slow = Slow(gate)
    killed = fibril.spawn(moved, slow, "first")
    until(lambda: gate.arrived == ["first"])
    never, second = fibril.spawn(moved, slow, "never"), fibril.spawn(moved, slow, "second")
    fibril.sleep(0)
    killed.kill()
    never.kill()
    other = fibril.spawn(moved, Slow(gate), "other")
    until(lambda: "other" in gate.arrived)
    assert gate.arrived == ["first", "other"]
    gate.open()
    assert (second.get(), other.get()) == ("second", "other")
    assert gate.arrived == ["first", "other", "second"]


def test_a_cursors_calls_are_its_connections(fresh: None, gate: Gate) -> None:
    class Cursor(Slow):
        connection: object = None

    class Closed(Slow):
        @property
        def connection(self) -> object:
            raise KeyError("closed")

    connection = Slow(gate)
    cursor, other = Cursor(gate), Cursor(gate)
    cursor.connection = connection
    first = fibril.spawn(moved, connection, "connection")
    until(lambda: gate.arrived == ["connection"])
    tasks = [fibril.spawn(moved, cursor, "cursor"), fibril.spawn(moved, other, "other")]
    tasks.append(fibril.spawn(moved, Closed(gate), "closed"))
    until(lambda: len(gate.arrived) == 3)
    assert sorted(gate.arrived) == ["closed", "connection", "other"]
    gate.open()
    assert [task.get() for task in (first, *tasks)] == ["connection", "cursor", "other", "closed"]


def test_a_call_that_is_taken_back_before_a_thread_is_free_gives_its_turn_on(
    fresh: None, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = fibril.threadpool.ThreadPool(1)
    monkeypatch.setattr(drivers, "_pool", lambda: pool)
    first = fibril.spawn(moved, Slow(gate), 1)
    until(lambda: gate.arrived == [1])
    slow = Slow(gate)
    killed, last = fibril.spawn(moved, slow, 2), fibril.spawn(moved, slow, 3)
    fibril.sleep(0)
    killed.kill()
    gate.open()
    assert (first.get(), last.get(), gate.arrived) == (1, 3, [1, 3])


def test_nothing_is_left_of_an_object_that_was_called(fresh: None, gate: Gate) -> None:
    gate.open()
    before = len(_turns())
    for _ in range(50):
        slow = Slow(gate)
        assert fibril.spawn(moved, slow, 1).get() == 1
    del slow
    collect()
    assert len(_turns()) <= before + 1


def test_in_such_a_thread_calls_are_made_at_once(fresh: None) -> None:
    ident = _Moved(native.get_ident)
    inner: list[int] = []
    outer = _Moved(lambda: (inner.append(ident()), native.get_ident())[1])
    assert outer() == inner[0] != native.get_ident()


# ---- known libraries ----

PSYCOPG2 = """
    POLL_OK, POLL_READ, POLL_WRITE, POLL_ERROR = range(4)
    callback = None
    def set_wait_callback(function):
        global callback
        callback = function
    def get_wait_callback():
        return callback
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_psycopg2_waits_by_a_callback(run: Callable[..., list[str]], order: str) -> None:
    first, second = "from psycopg2 import extensions", "monkey.patch_all()"
    first, second = (first, second) if order == "before" else (second, first)
    lines = run(
        f"""
        from fibril import monkey
        {first}
        {second}
        import os, psycopg2
        class Connection:
            OperationalError = KeyError
            def __init__(self, *states): self.states, self.fds = list(states), os.pipe()
            def poll(self): self.state = self.states.pop(0); return self.state
            def fileno(self): return self.fds[self.state == extensions.POLL_WRITE]
        wait = extensions.get_wait_callback()
        connection = Connection(extensions.POLL_WRITE, extensions.POLL_READ, extensions.POLL_OK)
        fibril.spawn_later(0.05, os.write, connection.fds[1], b"x")
        wait(connection)
        print(len(ran) > 0, connection.states)
        try:
            wait(Connection(extensions.POLL_ERROR))
        except KeyError as error:
            print(error)
    """,
        psycopg2____init__="",
        psycopg2__extensions=PSYCOPG2,
    )
    assert lines[0] == "True []"
    assert "said 3" in lines[1]


def test_a_callback_that_the_program_has_set_stays(run: Callable[..., list[str]]) -> None:
    lines = run(
        """
        from psycopg2 import extensions
        extensions.set_wait_callback(print)
        from fibril import monkey
        monkey.patch_all()
        print(extensions.get_wait_callback() is print)
    """,
        psycopg2____init__="",
        psycopg2__extensions=PSYCOPG2,
    )
    assert lines == ["True"]


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("is_chosen", [True, False])
def test_psycopg_waits_by_what_is_patched(
    run: Callable[..., list[str]], order: str, is_chosen: bool
) -> None:
    first, second = "from psycopg import waiting", "monkey.patch_all()"
    first, second = (first, second) if order == "before" else (second, first)
    lines = run(
        f"""
        from fibril import monkey
        {first}
        {second}
        from psycopg import other
        print(waiting.wait.__name__, waiting.wait_c.__name__, other.wait_c.__name__)
    """,
        psycopg____init__="",
        psycopg__waiting=f"""
            import math
            def wait_selector(gen, fileno): pass
            def wait_poll(gen, fileno): pass
            wait_c = math.sqrt
            wait = wait_c if {is_chosen} else wait_selector
        """,
        psycopg__other="from .waiting import wait_c",
    )
    assert lines == [f"{'wait_poll' if is_chosen else 'wait_selector'} wait_poll wait_poll"]


@pytest.mark.parametrize("order", ["before", "after"])
def test_mysqlclient_waits_in_threads_unless_it_is_kept(
    run: Callable[..., list[str]], order: str
) -> None:
    text = """
        from fibril import monkey
        {0}
        from MySQLdb.connections import Connection
        {1}
        connection = Connection(3)
        print(connection.query("one"), len(ran) > 0)
        print(native.get_ident() in connection.threads, hasattr(Connection, "store_result"))
    """
    patch = ("monkey.patch_all(queue=False)", "")
    modules = {
        "MySQLdb____init__": "",
        "MySQLdb__connections": LIBRARY,
    }
    lines = run(text.format(*(patch if order == "before" else patch[::-1])), **modules)
    assert lines == ["3 one True", "False False"]
    kept = text.format("monkey.keep('MySQLdb'); monkey.patch_all(queue=False)", "")
    assert run(kept, **modules) == ["3 one False", "True False"]


def test_oracledb_is_moved_when_it_gets_thick(run: Callable[..., list[str]]) -> None:
    lines = run(
        """
        from fibril import monkey
        monkey.patch_all()
        import oracledb
        ask = lambda: oracledb.connection.Connection().ping() == native.get_ident()
        print(ask(), oracledb.init_oracle_client(lib_dir="x"), ask())
    """,
        oracledb____init__="""
            from . import connection
            def init_oracle_client(lib_dir=None): return lib_dir
        """,
        oracledb__connection="""
            from fibril import native
            class Connection:
                def ping(self): return native.get_ident()
            def connect(): pass
        """,
    )
    assert lines == ["True x False"]


def test_the_table_is_whole() -> None:
    for driver in drivers.KNOWN:
        assert driver.how
        assert bool(driver.calls or driver.serve) == driver.is_served, driver
        assert not driver.serve or callable(getattr(drivers, driver.serve))
    assert drivers.find_used() == []
