"""os.fork in programs that know fibers as greenlets: the child has copies of them.

FIBRIL_TEST_ENGINE=greenlet runs these programs on the real one.
"""

import os
import textwrap

import pytest

from tests.conftest import Interpreter

PRELUDE = """
import gc, os, signal, sys
from greenlet import greenlet, getcurrent

main = getcurrent()
signal.alarm(20)  # a child that hangs is ended

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def both(pid):
    if pid:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return "parent" if pid else "child"
"""
SERVE = "from fibril import compat\ncompat.install()\n"


def run(interpreter: Interpreter, program: str) -> list[str]:
    served = "" if os.environ.get("FIBRIL_TEST_ENGINE") == "greenlet" else SERVE
    return interpreter.out(served + PRELUDE + textwrap.dedent(program)).splitlines()


def test_a_suspended_one_goes_on_in_both(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        fiber = greenlet(lambda: [main.switch(number) for number in range(3)])
        assert fiber.switch() == 0
        who = both(os.fork())
        say(who, fiber.switch(), fiber.switch(), fiber.switch(who), fiber.dead)
        """,
    )
    assert out == [f"{who} 1 2 [(), (), '{who}'] True" for who in ("child", "parent")]


def test_one_that_has_not_started_starts_in_both(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        fiber = greenlet(lambda who: who + " starts")
        who = both(os.fork())
        say(fiber.switch(who))
        """,
    )
    assert out == ["child starts", "parent starts"]


@pytest.mark.parametrize("depth", [1, 3])
def test_the_main_one_goes_on_when_the_forking_one_returns(
    interpreter: Interpreter, depth: int
) -> None:
    out = run(
        interpreter,
        f"""
        def fork(depth):
            return greenlet(fork).switch(depth - 1) if depth else both(os.fork())
        say(greenlet(fork).switch({depth}), getcurrent() is main)
        """,
    )
    assert out == ["child True", "parent True"]


def test_dropped_in_the_child_it_is_unwound_there(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        def body():
            try:
                main.switch()
            finally:
                say(who, "unwinds")
        fiber = greenlet(body)
        fiber.switch()
        pid = os.fork()
        who = "parent" if pid else "child"
        if not pid:
            del fiber
            gc.collect()
            say("child ends")
            os._exit(0)
        both(pid)
        say("parent", bool(fiber))
        del fiber
        """,
    )
    assert out == ["child unwinds", "child ends", "parent True", "parent unwinds"]


def test_a_child_may_fork_again(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        def count():
            number = 0
            while True:
                main.switch(number := number + 1)
        fiber = greenlet(count)
        fiber.switch()
        both(os.fork())
        fiber.switch()
        both(os.fork())
        say(fiber.switch())
        """,
    )
    assert out == ["3"] * 4


def test_in_a_thread_its_own_are_kept(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        import threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        def work():
            mine = getcurrent()
            fiber = greenlet(lambda: mine.switch(1) or 2)
            fiber.switch()
            pid = os.fork()
            say("child" if not pid else both(pid), fiber.switch())
            if not pid:
                os._exit(0)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """,
    )
    assert out == ["child 2", "parent 2"]


@pytest.mark.skipif(os.environ.get("FIBRIL_TEST_ENGINE") == "greenlet", reason="it has no tasks")
def test_tasks_stay_behind_all_the_same(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
        import fibril
        task = fibril.spawn(lambda: (fibril.sleep(0.01), say("task", who)))
        fibril.sleep(0)
        who = both(os.fork())
        say(who, task.dead)
        if who == "parent":
            task.join()
        """,
    )
    assert out == ["child True", "parent False", "task parent"]
