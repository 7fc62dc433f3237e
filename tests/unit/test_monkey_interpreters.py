"""Sub-interpreters under the patch: what waits in one lets other tasks run."""

import sys

import pytest

from tests.conftest import Interpreter

BEGIN = """
    from fibril import monkey
    monkey.patch_all()
    import fibril, os
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
"""


def test_code_that_waits_in_another_interpreter_lets_others_run(interpreter: Interpreter) -> None:
    out = interpreter.out(
        BEGIN
        + """
    reader, writer = os.pipe()
    def wait():
        one = interpreters.create()
        interpreters.run_string(one, f"import os; os.read({reader}, 1)")
        interpreters.destroy(one)
        return "read"
    tasks = [fibril.spawn(wait) for _ in range(3)]
    while not all(task.started for task in tasks):
        fibril.sleep(0.001)
    fibril.sleep(0.01)
    print([task.ready() for task in tasks])
    os.write(writer, b"abc")
    print([task.get() for task in tasks])
    """
    )
    assert out == "[False, False, False]\n['read', 'read', 'read']\n"


def test_what_it_refuses_is_refused_as_ever(interpreter: Interpreter) -> None:
    out = interpreter.out(
        BEGIN
        + """
    try:
        interpreters.run_string(10**6, "1")
    except Exception as error:
        print(type(error).__name__)
    print(interpreters.run_string.__name__)
    """
    )
    assert out in ("RuntimeError\nrun_string\n", "InterpreterNotFoundError\nrun_string\n")


@pytest.mark.skipif(sys.version_info < (3, 14), reason="InterpreterPoolExecutor: from 3.14 on")
def test_the_pool_of_interpreters_works_in_parallel(interpreter: Interpreter) -> None:
    out = interpreter.out(
        BEGIN
        + """
    from concurrent import interpreters
    from concurrent.futures import InterpreterPoolExecutor
    queue = interpreters.create_queue()
    with InterpreterPoolExecutor(3) as pool:
        futures = [pool.submit(queue.get) for _ in range(6)]
        for number in range(6):
            queue.put(number)
        print(sorted(future.result() for future in futures))
    """
    )
    assert out == "[0, 1, 2, 3, 4, 5]\n"
