"""Libraries that count on threads: what is named is done, now or at the import, and no more."""

import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.compat.conftest import compile_extension
from tests.conftest import PACKAGE_PARENT, Interpreter

SOURCES = Path(__file__).parents[1] / "compat"
START = """
import fibril, sys
from fibril import libraries
def run(call, count=5):
    def one(number):
        def callback():
            fibril.sleep(0.001)
            return number
        return call(callback)
    tasks = [fibril.spawn(one, number) for number in range(count)]
    fibril.joinall(tasks)
    return [task.value for task in tasks]
RIGHT = [(n, n) for n in range(5)]
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where thread_locals.c and stack_limit.c lie, compiled, and some modules that need care."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here (Debian: apt install gcc)")
    folder = tmp_path_factory.mktemp("libraries")
    for name in ("thread_locals.c", "stack_limit.c"):
        compile_extension(SOURCES / name, folder, include=str(SOURCES))
    (folder / "locked.py").write_text(
        "import threading\nLOCK = threading.Lock()\nRLOCK = threading.RLock()\nOTHER = 5\n",
        encoding="utf-8",
    )
    (folder / "broken.py").write_text("raise KeyError('broken')\n", encoding="utf-8")
    return folder


@pytest.fixture
def run(interpreter: Interpreter, folder: Path) -> Callable[[str], str]:
    """What lines print in a new interpreter that can import what lies there."""

    def run(text: str) -> str:
        done = interpreter.run(
            START + textwrap.dedent(text), PYTHONPATH=f"{PACKAGE_PARENT}:{folder}"
        )
        assert (done.status, done.err) == (0, ""), done
        return str(done.out)

    return run


def test_without_a_word_fibers_find_each_others_call(run: Callable[[str], str]) -> None:
    assert run("import thread_locals as t; print(run(t.twice) == RIGHT)") == "False\n"


def test_kept_thread_locals_are_each_fibers_own(run: Callable[[str], str]) -> None:
    assert (
        run("""
        import thread_locals as t
        libraries.keep_thread_locals("thread_locals")
        print(run(t.twice) == RIGHT, run(t.twice) == RIGHT)
        print(t.exchange(1), fibril.spawn(t.exchange, 2).get(), fibril.spawn(t.exchange, 3).get())
        print(t.exchange(4))
    """)
        == "True True\n7 7 7\n1\n"
    )


def test_also_if_it_is_imported_later(run: Callable[[str], str]) -> None:
    assert (
        run("""
        libraries.keep_thread_locals("thread_locals")
        def late():
            import thread_locals as t
            return t
        t = fibril.spawn(late).get()
        print(run(t.twice) == RIGHT, type(t.__loader__).__name__, type(t.__spec__.loader).__name__)
    """)
        == "True ExtensionFileLoader ExtensionFileLoader\n"
    )


def test_in_every_thread_and_switched_by_hand(run: Callable[[str], str]) -> None:
    assert (
        run("""
        import threading
        import thread_locals as t
        out = []
        ready, go = threading.Event(), threading.Event()
        def early():
            fibril.sleep(0)
            ready.set(); go.wait()
            late()
        def late():
            out.append(run(t.twice) == RIGHT)
            main = fibril.getcurrent()
            fibers = [fibril.Fiber(lambda: t.twice(main.switch)) for _ in range(3)]
            for fiber in fibers: fiber.switch()
            for number, fiber in enumerate(fibers): fiber.switch(number)
            out.extend(fiber.switch(number + 10) for number, fiber in enumerate(fibers))
        first = threading.Thread(target=early)
        first.start(); ready.wait()
        libraries.keep_thread_locals("thread_locals")
        go.set(); first.join()
        second = threading.Thread(target=late)
        second.start(); second.join()
        late()
        print(out == [True, (0, 10), (1, 11), (2, 12)] * 3)
    """)
        == "True\n"
    )


def test_together_with_exceptions_and_unwound_fibers(run: Callable[[str], str]) -> None:
    assert (
        run("""
        import thread_locals as t
        libraries.keep_thread_locals("thread_locals")
        main = fibril.getcurrent()
        fiber = fibril.Fiber(lambda: t.twice(main.switch))
        fiber.switch()
        def outer():
            global fiber
            fiber = None
            return 1
        print(t.twice(outer))
        def fail(): fibril.sleep(0); raise KeyError
        tasks = [fibril.spawn(t.twice, fail) for _ in range(3)]
        fibril.get_hub().handle_error = lambda *args: None
        fibril.joinall(tasks)
        print([type(task.exception).__name__ for task in tasks], run(t.twice) == RIGHT)
    """)
        == "(1, 1)\n['KeyError', 'KeyError', 'KeyError'] True\n"
    )


def test_the_child_of_a_fork_goes_on(run: Callable[[str], str]) -> None:
    assert (
        run("""
        import os
        import thread_locals as t
        libraries.keep_thread_locals("thread_locals")
        def fork():
            pids.append(os.fork())
            if pids[-1]:
                os.waitpid(pids[-1], 0)
            return pids[-1] == 0
        pids = []
        got = fibril.spawn(t.twice, fork).get()
        print(got[-1] and os._exit(0) or run(t.twice) == RIGHT)
    """)
        == "True\n"
    )


LIMITS = """
import threading
STACK = 1 << 20
fibril.stack_size(STACK)
threading.stack_size(2 * STACK)
def is_told(low=STACK // 2, high=STACK):
    return low < s.left() <= high
def look():
    return [is_told(), fibril.sleep(0), is_told()]
def look_on_both():
    return [is_told(), fibril.on_main_stack(is_told, STACK, 2 * STACK), is_told()]
def in_tasks(call=look):
    got = [task.get() for task in [fibril.spawn(call) for _ in range(3)]]
    return all(is_right is not False for each in got for is_right in each)
def in_thread(call, *args):
    out = []
    thread = threading.Thread(target=lambda: out.append(call(*args)))
    thread.start(); thread.join()
    return out[0]
"""


def test_without_a_word_fibers_are_told_of_the_threads_stack(run: Callable[[str], str]) -> None:
    assert run(f"{LIMITS}\nimport stack_limit as s\nprint(in_thread(in_tasks))") == "False\n"


@pytest.mark.parametrize("first", ["s.left()", "None"])
def test_the_end_of_the_stack_is_each_fibers_own(run: Callable[[str], str], first: str) -> None:
    assert (
        run(f"""{LIMITS}
import stack_limit as s
{first}
libraries.follow_stack_limit("stack_limit", lambda module: module.left())
outside = s.left()
print(in_tasks(), in_thread(in_tasks), in_tasks(), abs(s.left() - outside) < STACK // 4)
print(in_thread(in_tasks, look_on_both), in_thread(is_told, STACK, 2 * STACK))
    """)
        == "True True True True\nTrue True\n"
    )


def test_also_imported_later_in_a_task_and_on_stacks_of_its_own(run: Callable[[str], str]) -> None:
    assert (
        run(f"""{LIMITS}
libraries.follow_stack_limit("stack_limit", lambda module: module.left())
def late():
    global s
    import stack_limit as s
    return is_told()
print(fibril.spawn(late).get(), in_tasks())
tasks = [fibril.spawn(s.call, lambda: in_tasks() and fibril.sleep(0.001)) for _ in range(3)]
print(in_tasks(), [task.get() for task in tasks], in_tasks())
    """)
        == "True True\nTrue [True, True, True] True\n"
    )


def test_a_library_that_remembers_no_end_is_told_of(run: Callable[[str], str]) -> None:
    assert (
        run("""
        import stack_limit, thread_locals, threading
        calls = [lambda module: None, lambda module: module.nothing(), lambda module: 1 / 0]
        for name in ("stack_limit", "thread_locals", "sys"):
            for call in calls:
                try:
                    libraries.follow_stack_limit(name, call)
                except ValueError as error:
                    print(error)
    """).count("cannot find where")
        == 9
    )


def test_one_call_at_a_time_for_static_variables(run: Callable[[str], str]) -> None:
    assert (
        run("""
        import thread_locals as t
        print(run(t.twice_static) == RIGHT)
        libraries.one_at_a_time("thread_locals:twice_static")
        print(run(t.twice_static) == RIGHT, t.twice_static.__name__)
        print(t.twice_static(lambda: t.twice_static(lambda: 1)))
    """)
        == "False\nTrue twice_static\n((1, 1), (1, 1))\n"
    )


def test_functions_and_methods_of_python_take_turns_too(run: Callable[[str], str]) -> None:
    assert (
        run("""
        import types
        module = sys.modules["made"] = types.ModuleType("made")
        class Machine:
            inside = most = 0
            def work(self, seconds):
                Machine.inside += 1
                Machine.most = max(Machine.most, Machine.inside)
                fibril.sleep(seconds)
                Machine.inside -= 1
        module.Machine = Machine
        libraries.one_at_a_time("made:Machine.work")
        fibril.joinall([fibril.spawn(Machine().work, 0.001) for _ in range(5)])
        print(Machine.most, Machine.work.__name__)
    """)
        == "1 work\n"
    )


def test_native_locks_of_a_module_become_fibers_locks(run: Callable[[str], str]) -> None:
    assert (
        run("""
        libraries.replace_locks("locked")
        import locked
        def hold(lock):
            with lock:
                fibril.sleep(0.001)
        for lock in (locked.LOCK, locked.RLOCK):
            fibril.joinall([fibril.spawn(hold, lock) for _ in range(3)])
        print(type(locked.LOCK).__module__, type(locked.RLOCK).__module__, locked.OTHER)
    """)
        == "fibril.thread fibril.lock 5\n"
    )


def test_what_cannot_be_kept_is_told(run: Callable[[str], str]) -> None:
    assert (
        run("""
        import math
        for name in ("math", "textwrap", "sys"):
            __import__(name)
            try:
                libraries.keep_thread_locals(name)
            except ValueError as error:
                print(error)
    """).count("cannot keep the thread-local variables of")
        == 3
    )


def test_a_module_that_fails_to_import_fails_as_before(run: Callable[[str], str]) -> None:
    assert (
        run("""
        libraries.replace_locks("broken")
        libraries.replace_locks("not_there")
        for name in ("broken", "not_there", "broken"):
            try:
                __import__(name)
            except (KeyError, ImportError) as error:
                print(type(error).__name__, name in sys.modules)
    """)
        == "KeyError False\nModuleNotFoundError False\nKeyError False\n"
    )


def test_known_libraries_are_not_imported(run: Callable[[str], str]) -> None:
    assert run("print([n for n in sys.modules if n.partition('.')[0] == 'scipy'])") == "[]\n"


def test_the_finder_is_there_once(run: Callable[[str], Any]) -> None:
    assert run("print(sum('libraries' in repr(f) for f in sys.meta_path))") == "1\n"
