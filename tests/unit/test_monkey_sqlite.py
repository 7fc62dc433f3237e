"""SQLite's connections belong to the Thread that made them; plain tasks share theirs."""

import pytest

from tests.conftest import Interpreter

BEGIN = """
    {0}
    {1}
    import fibril, sqlite3, threading, time

    def used(connection):
        '''Every kind of use.'''
        cursor = connection.cursor()
        uses = [connection.cursor, connection.commit, lambda: connection.execute("select 1"),
                lambda: cursor.execute("select 1"), cursor.fetchone, cursor.close]
        for use in uses:
            use()
        return True

    def tried(connection):
        try:
            return used(connection)
        except sqlite3.ProgrammingError as error:
            assert "can only be used in that same thread" in str(error), error
            return "refused"

    def in_thread(function, *args):
        result = []
        thread = threading.Thread(target=lambda: result.append((function(*args), thread.ident)))
        thread.start()
        thread.join()
        return result[0][0]

    def in_task(function, *args):
        return fibril.spawn(function, *args).get()

    def make(**options):
        connection = sqlite3.connect(":memory:", **options)
        connections.append(connection)
        return connection
    connections = []
"""


def begin(order: str = "before") -> str:
    lines = ("from fibril import monkey; monkey.patch_all()", "import sqlite3")
    return BEGIN.format(*(lines if order == "before" else lines[::-1]))


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_thread_that_is_a_task_is_a_thread(interpreter: Interpreter, order: str) -> None:
    text = """
    mine, its = make(), in_thread(make)
    print(tried(mine), in_thread(tried, mine), tried(its))
    print(in_thread(lambda: tried(make())), in_thread(lambda: in_task(tried, mine)))
    shared = make(check_same_thread=False)
    print(tried(shared), in_thread(tried, shared), in_task(tried, shared))
    """
    assert interpreter.out(begin(order) + text).splitlines() == [
        "True refused refused",
        "True True",
        "True True True",
    ]


def test_the_error_names_both_threads(interpreter: Interpreter) -> None:
    text = """
    made = []
    thread = threading.Thread(target=lambda: made.append(make()))
    thread.start(), thread.join()
    try:
        made[0].cursor()
    except sqlite3.ProgrammingError as error:
        print(str(thread.ident) in str(error), str(threading.get_ident()) in str(error))
    """
    assert interpreter.out(begin() + text) == "True True\n"


def test_plain_tasks_hand_connections_to_each_other(interpreter: Interpreter) -> None:
    text = """
    from fibril.queue import Queue
    mine = make()
    pool = Queue()
    for _ in range(2):
        pool.put(in_task(make))
    def work():
        connection = pool.get()
        try:
            fibril.sleep(0)
            return tried(connection)
        finally:
            pool.put(connection)
    tasks = [fibril.spawn(work) for _ in range(10)]
    print({task.get() for task in tasks}, in_task(tried, mine), tried(in_task(make)))
    """
    assert interpreter.out(begin() + text) == "{True} True True\n"


def test_native_threads_are_threads(interpreter: Interpreter) -> None:
    text = """
    mine = make()
    print(fibril.offload(tried, mine), tried(fibril.offload(make)))
    """
    assert interpreter.out(begin() + text) == "refused refused\n"


def test_without_the_patch_it_is_as_ever(interpreter: Interpreter) -> None:
    text = """
    mine = make()
    print(in_task(tried, mine), in_thread(tried, mine))
    """
    assert interpreter.out(BEGIN.format("", "") + text) == "True refused\n"
    kept = BEGIN.format("from fibril import monkey; monkey.keep('_sqlite3')", "monkey.patch_all()")
    assert interpreter.out(kept + text) == "True True\n"


def test_only_a_library_that_asks_can_be_told() -> None:
    import math

    from fibril import _core

    with pytest.raises(TypeError, match="only a function of C code"):
        _core.tell_threads_apart(begin)
    for function in (len, math.sqrt):
        with pytest.raises(OSError, match="No data available"):
            _core.tell_threads_apart(function)
