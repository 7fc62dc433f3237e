"""fork and reinit: the child needs nothing but the fork."""

import inspect

import weft
from tests.conftest import Interpreter


def test_fork_gives_a_child_with_the_forking_fiber_only(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, sys, weft
        other = weft.spawn(weft.sleep, 0.001)
        weft.sleep(0)
        pid = weft.fork()
        if pid == 0:
            weft.reinit()
            weft.reinit(weft.get_hub())
            print(weft.spawn(lambda: "a task of the child").get(), weft.wait())
            sys.stdout.flush()
            os._exit(4)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), other.get())
    """)
    assert out == "a task of the child True\n4 None\n"


def test_reinit_has_gevents_signature() -> None:
    assert str(inspect.signature(weft.reinit)).startswith("(hub:")
    assert weft.reinit() is None  # type: ignore[func-returns-value]
