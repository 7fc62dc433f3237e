"""C++ exceptions in flight: each fiber has its own, however they interleave on one thread."""

import signal
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compat.conftest import cpp_environment
from tests.conftest import PACKAGE_PARENT, Finished, Interpreter

START = """
from fibril import compat, on_main_stack as own_stack
compat.install()
import greenlet
from greenlet import getcurrent
main = getcurrent()
"""
LOAD = "import cpp_exceptions as cpp\n"


@pytest.fixture
def run(interpreter: Interpreter, extensions: Callable[[str], Path]) -> Callable[..., Finished]:
    """Runs lines in a new interpreter that can import cpp_exceptions."""
    path = f"{PACKAGE_PARENT}:{extensions('cpp_exceptions.cpp')}"
    env = {"PYTHONPATH": path, **cpp_environment()}

    def run(text: str, start: str = START + LOAD) -> Finished:
        return interpreter.run(start + textwrap.dedent(text), **env)

    return run


def check(done: Finished) -> None:
    assert (done.status, done.err) == (0, ""), done


INTERLEAVE = """
def catch(number):
    return cpp.in_catch(number, main.switch)
fibers = [greenlet.greenlet(catch) for _ in range(3)]
for number, fiber in enumerate(fibers, 1):
    fiber.switch(number)
    assert cpp.in_flight() == (-1, 0), cpp.in_flight()
for number in (1, 3, 2):
    got = fibers[number - 1].switch("value")
    assert got == (number, number, number, "value"), got
"""


def test_each_fiber_handles_its_own(run: Callable[..., Finished]) -> None:
    check(run(INTERLEAVE))


def test_also_when_cpp_is_loaded_after_the_first_switches(run: Callable[..., Finished]) -> None:
    started = """
        fiber = greenlet.greenlet(lambda: [main.switch() for _ in range(9)])
        for _ in range(5): fiber.switch()
        """
    check(run(LOAD + INTERLEAVE, start=START + textwrap.dedent(started)))


def test_in_every_thread(run: Callable[..., Finished]) -> None:
    text = """
        import threading
        def work():
            global main
            main = getcurrent()
            exec(INTERLEAVE, globals())
            done.append(1)
        done = []
        early = threading.Thread(target=lambda: (getcurrent(), ready.set(), go.wait(), work()))
        ready, go = threading.Event(), threading.Event()
        early.start(); ready.wait()
        import cpp_exceptions as cpp
        work(); go.set(); early.join()
        late = threading.Thread(target=work)
        late.start(); late.join()
        assert len(done) == 3
        """
    check(run(textwrap.dedent(text), start=f"{START}INTERLEAVE = {INTERLEAVE!r}\n"))


def test_one_inside_another(run: Callable[..., Finished]) -> None:
    text = """
        def catch(number):
            return cpp.in_catch(number, lambda: cpp.in_catch(number + 1, main.switch))
        fibers = [greenlet.greenlet(catch) for _ in range(2)]
        for fiber, number in zip(fibers, (10, 20)):
            fiber.switch(number)
        for fiber, number in zip(fibers, (10, 20)):
            inner = (number + 1,) * 3 + ("x",)
            assert fiber.switch("x") == (number,) * 3 + (inner,)
        """
    check(run(text))


def test_a_destructor_that_switches_while_unwinding(run: Callable[..., Finished]) -> None:
    text = """
        fiber = greenlet.greenlet(lambda: cpp.while_unwinding(main.switch))
        fiber.switch()
        assert cpp.in_flight() == (-1, 0)
        assert cpp.in_catch(7, cpp.in_flight) == (7, 7, 7, (7, 0))
        assert fiber.switch("x") == (1, 1, "x")
        """
    check(run(text))


def test_tasks_that_park_and_fibers_that_are_thrown_at(run: Callable[..., Finished]) -> None:
    text = """
        import fibril
        event = __import__("fibril.event", fromlist=["Event"]).Event()
        tasks = [fibril.spawn(cpp.in_catch, n, event.wait) for n in (1, 2)]
        other = fibril.spawn(cpp.in_catch, 3, fibril.sleep)
        fibril.sleep(0)
        assert cpp.in_flight() == (-1, 0)
        event.set()
        assert [t.get(timeout=5) for t in tasks] == [(n, n, n, True) for n in (1, 2)]
        assert other.get(timeout=5) == (3, 3, 3, None)
        fiber = greenlet.greenlet(lambda: cpp.in_catch(4, main.switch))
        fiber.switch()
        try:
            cpp.in_catch(5, lambda: fiber.throw(KeyError))
        except KeyError:
            pass
        assert cpp.in_flight() == (-1, 0)
        """
    check(run(text))


def test_a_fiber_dropped_in_a_catch_block(run: Callable[..., Finished]) -> None:
    text = """
        fiber = greenlet.greenlet(lambda: cpp.in_catch(1, main.switch))
        fiber.switch()
        def drop():
            global fiber
            del fiber
            return cpp.in_flight()
        assert cpp.in_catch(2, drop) == (2, 2, 2, (2, 0))
        """
    check(run(text))


@pytest.mark.parametrize(
    "program",
    [
        "greenlet.greenlet(cpp.throw_out).switch()",
        "print(cpp.catch_around(greenlet.greenlet(cpp.throw_out)))",
        "import fibril; fibril.spawn(cpp.throw_out).join()",
        "import fibril; fibril.spawn(fibril.on_main_stack, cpp.throw_out).join()",
        "greenlet.greenlet(cpp.in_catch).switch(1, lambda: own_stack(cpp.throw_out))",
    ],
)
def test_one_that_nobody_catches_ends_the_process(
    run: Callable[..., Finished], program: str
) -> None:
    done = run(program)
    assert done.status == -signal.SIGABRT
    assert done.out == ""
    assert "nobody catches this" in done.err


def test_a_call_on_the_threads_own_stack_handles_its_own(run: Callable[..., Finished]) -> None:
    text = """
        import fibril
        def inner():
            return cpp.in_flight(), cpp.in_catch(2, cpp.in_flight)
        def outer():
            got = cpp.in_catch(1, lambda: fibril.on_main_stack(inner))
            fibril.sleep(0)
            return got
        want = (1, 1, 1, ((1, 0), (2, 2, 2, (2, 0))))
        tasks = [fibril.spawn(outer) for _ in range(3)]
        assert [task.get(timeout=5) for task in tasks] == [want] * 3
        assert cpp.in_flight() == (-1, 0)
        """
    check(run(text))
