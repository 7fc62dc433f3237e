"""The pytest plugin, in sessions of its own: what it says of tests, and the patch at the start."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import LIMIT_S, Finished, Interpreter

Session = Callable[..., Finished]
pytestmark = pytest.mark.skipif(
    os.environ.get("FIBRIL_SANITIZER") == "valgrind",
    reason="twenty sessions of pytest: valgrind would look at pytest, for an hour",
)
FIBRIL_RUN = ("-m", "fibril", "run")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Runs pytest on the text of a test module, in a process of its own.

    `conftest`, `early` (a plugin, for -p) and `settings` are texts of other files.
    """

    def run(
        tests: str,
        *options: str,
        before: tuple[str, ...] = (),
        autoload: bool = True,
        **files: str,
    ) -> Finished:
        names = {"conftest": "conftest.py", "early": "early.py", "settings": "pytest.ini"}
        for key, text in {"settings": "", **files}.items():
            header = "[pytest]\n" if key == "settings" else ""
            path = tmp_path / names[key]
            path.write_text(header + textwrap.dedent(text), encoding="utf-8")
        (tmp_path / "test_it.py").write_text(textwrap.dedent(tests), encoding="utf-8")
        quiet = ("-p", "no:hypothesispytest", "-p", "no:cacheprovider", "-rA", "-q")
        command = [sys.executable, *before, "-m", "pytest", *quiet, *options]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        if not autoload:
            environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


def bad(done: Finished) -> dict[str, str]:
    """The tests that did not just pass, and how they ended."""
    found = re.findall(r"^(FAILED|ERROR) test_it\.py::(\w+)", done.out, re.MULTILINE)
    return {name: how for how, name in found}


def passed(done: Finished) -> bool:
    return done.status == 0 and not bad(done) and "warning" not in done.out


# ---- who does not ask ----


def test_what_pytest_loads_imports_nothing_of_fibril(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import sys, pytest
        before = set(sys.modules)
        import fibril_pytest
        print(set(sys.modules) - before)
    """)
    assert out == "{'fibril_pytest'}\n"


PLAIN = """
import sys
def test_plain(request):
    assert not [name for name in sys.modules if name.partition(".")[0] == "fibril"]
    assert request.config.pluginmanager.has_plugin("fibril") == has_plugin
    assert not request.config.pluginmanager.has_plugin("fibril-watch")
"""


def test_a_session_that_has_nothing_to_do_with_fibril_is_what_it_was(session: Session) -> None:
    strict = "addopts = --strict-markers --strict-config\nfilterwarnings = error"
    assert passed(session("has_plugin = True" + PLAIN, settings=strict))
    assert passed(session("has_plugin = False" + PLAIN, "-p", "no:fibril", settings=strict))


def test_without_the_plugin_nothing_is_said(session: Session) -> None:
    done = session(
        """
        import fibril
        def test_it():
            fibril.spawn(int, "x").join()
            fibril.spawn(fibril.sleep, 100)
        """,
        *("-p", "no:fibril"),
    )
    assert passed(done)


# ---- who died unseen ----


def test_a_test_whose_task_died_unseen_fails(session: Session) -> None:
    done = session("""
        import fibril, pytest

        def fail():
            raise ValueError("so it is")

        def test_unseen():
            fibril.spawn(fail).join()

        def test_only_started():
            fibril.spawn(fail)

        def test_seen():
            task = fibril.spawn(fail)
            fibril.joinall([task])
            assert isinstance(task.exception, ValueError)

        @pytest.fixture
        def looks():
            tasks = []
            yield tasks
            with pytest.raises(ValueError):
                tasks[0].get()

        def test_seen_by_a_fixture_at_its_end(looks):
            looks.append(fibril.spawn(fail))
            fibril.sleep(0)

        @pytest.mark.fibril_unseen_ok("the test is about that")
        def test_marked():
            fibril.spawn(fail).join()

        def test_after_it():
            pass

        @pytest.fixture
        def breaks():
            yield
            raise LookupError("teardown")

        def test_that_breaks_too(breaks):
            fibril.spawn(fail).join()
        """)
    assert done.status == 1
    assert bad(done) == dict.fromkeys(
        ["test_unseen", "test_only_started", "test_that_breaks_too"], "ERROR"
    )
    message = done.out.partition("ERROR at teardown of test_unseen")[2].partition("ERROR at")[0]
    assert 'task "Task-0" (fail) died of ValueError\n<Task "Task-0" at 0x' in message
    assert re.search(r"spawned at \S+test_it.py:8 in test_unseen>\nTraceback", message)
    assert "\nValueError: so it is\n" in message
    assert "mark the test with fibril_unseen_ok" in message
    both = done.out.partition("ERROR at teardown of test_that_breaks_too")[2]
    assert "LookupError: teardown" in both
    assert "died of ValueError" in both
    assert done.err == ""


UNSEEN = """
import fibril
def test_it():
    fibril.spawn(int, "x").join()
"""


def test_what_follows_is_a_setting(session: Session) -> None:
    warns = session(UNSEEN, settings="fibril_unseen = warn")
    assert (warns.status, bad(warns)) == (0, {})
    assert 'UnseenDeathWarning: task "Task-0" (' in warns.out
    is_error = session(UNSEEN, "-W", "error", settings="fibril_unseen = warn")
    assert bad(is_error) == {"test_it": "ERROR"}
    assert passed(session(UNSEEN, settings="fibril_unseen = ignore"))
    wrong = session(UNSEEN, settings="fibril_left_running = kill")
    assert wrong.status == pytest.ExitCode.USAGE_ERROR
    assert "fibril_left_running must be one of: fail, warn, ignore" in wrong.err


def test_it_may_be_the_test_that_imports_fibril(session: Session) -> None:
    done = session("""
        def test_unseen():
            import fibril
            fibril.spawn(int, "x").join()

        def test_after_it():
            pass
        """)
    assert bad(done) == {"test_unseen": "ERROR"}


def test_it_may_be_a_fixture_that_imports_fibril(session: Session) -> None:
    done = session("""
        import pytest

        @pytest.fixture(scope="session")
        def server():
            import fibril
            return fibril.spawn(fibril.sleep, 100)

        def test_it(server):
            import fibril
            fibril.spawn(int, "x")

        def test_after_it():
            pass
        """)
    assert bad(done) == {"test_it": "ERROR"}
    assert "warning" not in done.out


# ---- who is left ----


LEFT = """
import fibril, pytest
from fibril.event import Event

calls = Event()

def serve():
    while True:
        calls.wait()
        calls.clear()
        fibril.spawn(fibril.sleep, 100)

@pytest.fixture(scope="module")
def server():
    yield fibril.spawn(serve)
    calls.wait(0.001)  # the server dies after the module

@pytest.fixture
def client():
    return fibril.spawn(fibril.sleep, 100)

def test_left(server, client):
    fibril.sleep(0)
    calls.set()
    fibril.sleep(0)

def test_after_it(server):
    calls.set()
    fibril.sleep(0)

def test_about_to_end():
    task = fibril.spawn(fibril.sleep, 100)
    fibril.sleep(0)
    task.kill(block=False)

@pytest.mark.fibril_left_running_ok
def test_marked():
    fibril.spawn(fibril.sleep, 100)

def test_asks_for_it_late(request):
    request.getfixturevalue("late")

@pytest.fixture(scope="session")
def late():
    return fibril.spawn(fibril.sleep, 100)
"""


def test_tasks_that_a_test_left_running_are_named(session: Session) -> None:
    done = session(LEFT)
    assert (done.status, bad(done)) == (0, {})
    assert done.out.count("LeftRunningWarning") == 1
    message = done.out.partition("LeftRunningWarning: ")[2]
    assert message.startswith("tasks are still running that this test has started:\n")
    assert re.search(r'\n +task "Task-\d+" .* waits to sleep, at ', message)
    assert re.search(r"\n +spawned at \S+test_it.py:20 in client\n", message)
    assert "1 warning" in done.out


def test_or_they_fail_the_test(session: Session) -> None:
    done = session(LEFT, settings="fibril_left_running = fail")
    assert bad(done) == {"test_left": "ERROR"}
    assert bad(session(LEFT, "-W", "error::pytest.PytestWarning")) == {"test_left": "ERROR"}
    assert passed(session(LEFT, settings="fibril_left_running = ignore"))


# ---- time ----


def test_with_the_clock_of_a_simulated_world_an_hour_takes_no_time(session: Session) -> None:
    done = session(
        """
        import time, fibril, pytest

        def test_it_sleeps(fibril_clock):
            started = time.monotonic()
            task = fibril.spawn_later(1800, int)
            time.sleep(3600)
            assert task.dead
            assert fibril_clock.now() == 3600
            with pytest.raises(fibril.Timeout), fibril.Timeout(60):
                fibril.sleep(61)
            fibril_clock.advance(40)
            assert fibril_clock.now() == 3700

        def test_each_begins_at_zero(fibril_clock):
            assert fibril_clock.now() == 0
            fibril.spawn(fibril.sleep, 100)  # ends with the clock

        def test_it_is_real_again():
            assert fibril.get_hub().poller != "sim"

        def test_while_somebody_waits_for_real_time(request):
            task = fibril.spawn(fibril.sleep, 100)
            fibril.sleep(0)
            with pytest.raises(RuntimeError, match="waits to sleep"):
                request.getfixturevalue("fibril_clock")
            task.kill()
        """,
        "--fibril-patch",
    )
    assert passed(done), done.out


# ---- the patch ----


PATCHED = """
import threading, time
from time import sleep
from fibril import monkey
import fibril
def test_patched():
    assert monkey.is_module_patched("threading")
    assert sleep is time.sleep is not fibril.native.sleep
    thread = threading.Thread(target=time.sleep, args=(0.001,))
    thread.start(), thread.join()
def test_dead_end():
    try:
        threading.Event().wait()
    except fibril.LoopExit:
        pass
    else:
        raise AssertionError("nobody could wake it")
"""
FIRST = """
import sys
from fibril import monkey
assert not monkey.patch_all()
"""


def test_the_patch_comes_before_any_conftest(session: Session) -> None:
    done = session(PATCHED, "--fibril-patch", "-W", "error", "-vv", conftest=FIRST)
    assert passed(done), done.out
    assert "fibril: the standard library is patched\n" in done.out
    assert passed(session(PATCHED, settings="fibril_patch = true", conftest=FIRST))


EARLY = """
import threading
lock = threading.RLock()
"""


def test_what_is_older_than_the_patch_is_warned_of(session: Session) -> None:
    done = session(PATCHED, "-p", "early", "--fibril-patch", early=EARLY)
    assert done.status == 0
    assert "MonkeyPatchWarning: early.lock: made before the patch" in done.out


def test_it_may_be_loaded_by_name(session: Session) -> None:
    done = session(PATCHED, "--fibril-patch", "-p", "fibril", autoload=False, conftest=FIRST)
    assert passed(done), done.out


def test_it_may_be_loaded_by_a_conftest_and_patches_then(session: Session) -> None:
    late = "pytest_plugins = ['fibril_pytest']\nfrom threading import RLock\nlock = RLock()"
    done = session(PATCHED, "--fibril-patch", autoload=False, conftest=late)
    assert (done.status, bad(done)) == (0, {})
    assert "MonkeyPatchWarning: conftest.lock: made before the patch" in done.err
    assert passed(session("def test_it(): pass", autoload=False))


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (("--fibril-patch",), {}),
        ((), {"settings": "fibril_patch = true"}),
        ((), {"conftest": "from fibril import monkey; monkey.patch_all()"}),
    ],
    ids=["option", "setting", "conftest"],
)
def test_workers_of_xdist_are_patched_and_run(
    session: Session, options: tuple[str, ...], files: dict[str, str]
) -> None:
    tests = PATCHED + UNSEEN.replace("test_it", "test_unseen")
    done = session(tests, "-n2", *options, **files)
    assert bad(done) == {"test_unseen": "ERROR"}
    assert "3 passed, 1 error" in done.out
    assert done.err == ""


def test_a_controller_of_xdist_that_is_patched_runs_and_says_that_its_workers_are_not(
    session: Session,
) -> None:
    done = session("def test_it(): pass", "-n2", "-v", before=FIBRIL_RUN)
    assert passed(done)
    assert "fibril: the workers are not patched: use --fibril-patch\n" in done.out
    assert done.err == ""


def test_pytest_may_be_run_by_fibril_where_warnings_are_errors(session: Session) -> None:
    assert passed(session(PATCHED, "-W", "error", before=FIBRIL_RUN))
