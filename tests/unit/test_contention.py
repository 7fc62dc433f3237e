"""A hub that wakes beside a thread that computes asks for the GIL soon, and the program's switch
interval is its own."""

import sys
from collections.abc import Iterator

import pytest

import fibril
from fibril import native
from tests.conftest import Interpreter

SHORT_S = 3e-5
SLEEPS_MAX = 2000


class Computing:
    """A native thread that computes, and notes which switch intervals it has seen."""

    def __init__(self) -> None:
        self.seen: set[float] = set()
        self.must_stop = False
        self.has_ended = native.allocate_lock()
        self.has_ended.acquire()
        native.start_new_thread(self._compute, ())

    def _compute(self) -> None:
        while not self.must_stop:
            self.seen.add(round(sys.getswitchinterval(), 6))
            sum(range(100))
        self.has_ended.release()

    def end(self) -> None:
        self.must_stop = True
        with self.has_ended:
            pass


@pytest.fixture
def computing() -> Iterator[Computing]:
    made = Computing()
    former_s = sys.getswitchinterval()
    yield made
    if not made.must_stop:
        made.end()
    sys.setswitchinterval(former_s)


def sleep_until_short(computing: Computing) -> None:
    for _ in range(SLEEPS_MAX):
        fibril.sleep(0.0001)
        if SHORT_S in computing.seen:
            return
    pytest.fail(f"the hub never asked sooner: {computing.seen}")


def test_while_the_hub_sleeps_the_interval_is_short_and_then_the_programs(
    fresh: None, computing: Computing
) -> None:
    former_s = sys.getswitchinterval()
    sleep_until_short(computing)
    assert sys.getswitchinterval() == former_s
    computing.end()
    for _ in range(200):  # nobody computes any more
        fibril.sleep(0.0001)
    assert sys.getswitchinterval() == former_s


def test_an_interval_that_the_program_sets_stays(fresh: None, computing: Computing) -> None:
    sleep_until_short(computing)
    sys.setswitchinterval(0.002)
    for _ in range(20):
        fibril.sleep(0.0001)
        assert sys.getswitchinterval() == pytest.approx(0.002)


def test_one_that_is_as_short_is_left_alone(fresh: None, computing: Computing) -> None:
    sleep_until_short(computing)
    sys.setswitchinterval(1e-5)
    fibril.sleep(0.01)  # it may have seen the former one, and not noted it yet
    computing.seen.clear()
    for _ in range(50):
        fibril.sleep(0.0001)
    assert computing.seen <= {1e-5}


def test_a_forked_child_has_the_programs_interval(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, sys, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, from 3.12 on
        import fibril
        from fibril import native
        seen = set()
        def compute():
            while True:
                seen.add(round(sys.getswitchinterval(), 6))
        def sleeping():
            while True:
                fibril.sleep(0.0001)
        native.start_new_thread(compute, ())
        native.start_new_thread(sleeping, ())
        while 3e-05 not in seen:
            time.sleep(0.0001)
        for _ in range(20):
            if os.fork() == 0:
                os._exit(sys.getswitchinterval() < 0.004)
            if os.waitstatus_to_exitcode(os.wait()[1]):
                print("short")
        print("done", flush=True)
        os._exit(0)
    """)
    assert out == "done\n"
