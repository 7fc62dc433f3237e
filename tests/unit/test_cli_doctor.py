"""`fibril doctor`: each reference that blocks is found, by module and line, and nothing else is."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import LIMIT_S, PACKAGE_PARENT

LIBRARY = """
import threading, time
from time import sleep
real_sleep = time.sleep
class Mine(threading.local): pass
class Other:
    wait = time.sleep
    def run(self, how=time.sleep): pass
TABLE = {"sleep": time.sleep}
def outer(function=time.sleep):
    def inner(): function()
    return inner
inner = outer()
class Thing: pass
thing = Thing()
thing.wait = time.sleep
from functools import partial
part = partial(time.sleep, 1)
lock = threading.RLock()
def generate():
    mine = time.sleep
    yield
going_on = generate()
next(going_on)
"""


class Told(NamedTuple):
    status: int
    lines: list[str]
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "library.py").write_text(LIBRARY.lstrip(), encoding="utf-8")
    (tmp_path / "good.py").write_text("import library, socket, ssl, asyncio\n", encoding="utf-8")
    return tmp_path


def doctor(*arguments: str, **env: str) -> Told:
    done = subprocess.run(
        [sys.executable, "-m", "fibril", "doctor", *arguments],
        env={**os.environ, "PYTHONPATH": PACKAGE_PARENT, **env},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Told(done.returncode, done.stdout.splitlines(), done.stderr)


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")


def test_a_program_that_is_patched_before_its_first_line_has_nothing(folder: Path) -> None:
    assert doctor("good.py") == Told(0, ["fibril doctor: good.py: nothing blocks its tasks"], "")
    assert doctor("-m", "good").status == 0


def test_every_reference_that_is_left_is_listed(folder: Path) -> None:
    write(folder, "late.py", "import library\nfrom fibril import monkey\nmonkey.patch_all()\n")
    told = doctor("--no-patch", "late.py")
    assert (told.status, told.err) == (1, "")
    assert told.lines[0] == "fibril doctor: late.py: 8 things that would block all tasks"
    found = [line for line in told.lines if line.startswith("library.py:")]
    around, going_on = (
        "a variable of the function around it",
        "a variable of a call that is going on",
    )
    assert found == [
        "library.py:4: library: Mine is the original threading.local (a base class).",
        "library.py:6: library: Other.wait is the original time.sleep (an attribute of a class).",
        "library.py:8: library: TABLE['sleep'] is the original time.sleep (an item).",
        f"library.py:10: library: inner: function is the original time.sleep ({around}).",
        "library.py:13: library: Thing().wait is the original time.sleep (an object's attribute).",
        "library.py:17: library: part is the original time.sleep (a partial's function).",
        f"library.py:19: library: generate(): mine is the original time.sleep ({going_on}).",
        "library.py:3: library: real_sleep is the original time.sleep (a name), on purpose.",
    ]
    assert "library.lock was made before the patch" in "\n".join(told.lines)
    assert "  Patch first thing in the program, or run it by `fibril run`." in told.lines


def test_what_is_not_patched_is_told(folder: Path) -> None:
    told = doctor("--no-patch", "good.py")
    assert told.status == 1
    assert told.lines[2] == "Nothing is patched."
    write(
        folder, "some.py", "from fibril import monkey\nmonkey.patch_all(ssl=False, queue=False)\n"
    )
    told = doctor("--no-patch", "some.py")
    assert [line for line in told.lines if "is not" in line] == [
        "ssl is not patched.",
        "queue is not patched.",
    ]
    assert told.status == 1


def test_the_program_is_imported_and_run_only_if_it_is_wished(folder: Path) -> None:
    write(
        folder,
        "program.py",
        """
        import sys
        print(__name__, sys.argv[1:])
        if __name__ == "__main__":
            import time
            from fibril import monkey
            class Bad:
                sleep = monkey.get_original("time", "sleep")
            time.sleep(0.01)
            sys.exit(5)
        """,
    )
    told = doctor("program.py", "--an", "argument")
    assert told.lines[0] == "program ['--an', 'argument']"
    assert told.status == 0
    told = doctor("--run", "program.py")
    assert told.lines[0] == "__main__ []"
    assert "program.py:7: __main__: Bad.sleep is the original time.sleep" in told.lines[3]
    assert told.status == 1


def test_packages_are_imported_as_they_are_run(folder: Path) -> None:
    write(folder, "package/__init__.py", "")
    write(folder, "package/__main__.py", "import inner\n")
    write(folder, "package/inner.py", "from fibril.native import sleep as wait\n")
    told = doctor("package")
    assert told.status == 1
    assert "package/inner.py:1: inner: wait is the original time.sleep (a name)." in told.lines


def test_gevents_programs_patch_themselves(folder: Path) -> None:
    write(
        folder,
        "program.py",
        "from gevent import monkey; monkey.patch_all()\nimport library, gevent\n",
    )
    assert doctor("--gevent", "program.py").status == 0


def test_marked_modules_are_told_of_and_are_no_fault(folder: Path) -> None:
    told = doctor("good.py", FIBRIL_KEEP="library,no_such,ssl")
    assert told.status == 0
    text = "\n".join(told.lines)
    assert "library is marked as never to be patched (fibril.monkey.keep); it is imported." in text
    assert "no_such is marked as never to be patched (fibril.monkey.keep); it is not imp" in text
    assert "library.py:2: library: sleep is the original time.sleep (a name), on purpose." in text
    assert "ssl is not patched" not in text


def test_libraries_of_c_code_are_told_of(folder: Path) -> None:
    write(folder, "pyodbc.py", "")
    write(folder, "MySQLdb/__init__.py", "")
    write(folder, "MySQLdb/connections.py", "class Connection:\n    def query(self): pass\n")
    write(folder, "program.py", "import pyodbc, MySQLdb.connections\n")
    told = doctor("program.py")
    assert told.status == 1
    assert "pyodbc waits in C code." in told.lines
    after = told.lines[told.lines.index("No faults, but to be known:") :]
    assert "mysqlclient waits in C code." in after
    assert "  It is served: in native threads." in after


def test_a_program_that_cannot_be_imported_is_told(folder: Path) -> None:
    write(folder, "broken.py", "import no_such_module\n")
    told = doctor("broken.py")
    assert told.status == 2
    assert "ModuleNotFoundError" in told.err
    assert "cannot look at 'broken.py': it cannot be imported" in told.err
    assert doctor("no_such.py").status == 2
    assert "`fibril doctor` has no option '--quick'" in doctor("--quick", "good.py").err
    write(folder, "ends.py", "raise SystemExit(3)\n")
    assert doctor("ends.py").status == 0


def test_a_task_that_waits_is_looked_into(folder: Path) -> None:
    write(
        folder,
        "parked.py",
        """
        import fibril
        from fibril import monkey
        def work(pause):
            fibril.sleep(100)
        task = fibril.spawn(work, monkey.get_original("time", "sleep"))
        fibril.sleep(0)
        """,
    )
    told = doctor("parked.py")
    assert told.status == 1
    assert told.lines[2].startswith("parked.py:3: parked: work(): pause is the original time.sleep")
