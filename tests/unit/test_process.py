"""fork and reinit: the child needs nothing but the fork."""

import inspect

import fibril
from tests.conftest import Interpreter


def test_fork_gives_a_child_with_the_forking_fiber_only(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, sys, fibril
        other = fibril.spawn(fibril.sleep, 0.001)
        fibril.sleep(0)
        pid = fibril.fork()
        if pid == 0:
            fibril.reinit()
            fibril.reinit(fibril.get_hub())
            print(fibril.spawn(lambda: "a task of the child").get(), fibril.wait())
            sys.stdout.flush()
            os._exit(4)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), other.get())
    """)
    assert out == "a task of the child True\n4 None\n"


def test_reinit_has_gevents_signature() -> None:
    assert str(inspect.signature(fibril.reinit)).startswith("(hub:")
    assert fibril.reinit() is None  # type: ignore[func-returns-value]
