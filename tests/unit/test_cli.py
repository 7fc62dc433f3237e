"""`fibril run`: a program under fibril finds all as under `python`, and ends the same way."""

import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

import fibril
from tests.conftest import LIMIT_S, PACKAGE_PARENT

PYTHON = [sys.executable]
FIBRIL = [sys.executable, "-m", "fibril", "run"]


class Finished(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs are written, and started."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*command: str) -> Finished:
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": PACKAGE_PARENT},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def same(*arguments: str) -> Finished:
    """What a program does under fibril, which must be what it does under python."""
    under_fibril = run(*FIBRIL, *arguments)
    assert under_fibril == run(*PYTHON, *arguments)
    return under_fibril


SHOW = """
import os, sys
import __main__
print(__name__, __file__, __spec__ and __spec__.name, __package__, __doc__)
print(globals().get("__cached__", "not there"))
print(sys.argv, sys.path[0], __builtins__)
print(__main__ is sys.modules["__main__"], vars(__main__) is globals(), type(__loader__).__name__)
def function(): pass
print(function.__module__, sorted(name for name in vars() if not name.startswith("_")))
"""


def test_a_program_finds_all_as_under_python(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "show.py").write_text(SHOW, encoding="utf-8")
    (folder / "link.py").symlink_to("sub/show.py")
    for path in ("sub/show.py", str(folder / "sub" / "show.py"), "link.py"):
        out = same(path, "--version", "-m", "x y").out
        assert out.startswith("__main__ ")
        assert repr([path, "--version", "-m", "x y"]) in out


def test_a_module_finds_all_as_under_python(folder: Path) -> None:
    (folder / "package").mkdir()
    for name in ("__init__", "__main__", "part"):
        (folder / "package" / f"{name}.py").write_text(
            SHOW if name != "__init__" else "", encoding="utf-8"
        )
    for name in ("package", "package.part"):
        assert "__main__ " in same("-m", name, "--gevent").out


def test_a_folder_and_an_archive_are_run(folder: Path) -> None:
    (folder / "app").mkdir()
    (folder / "app" / "__main__.py").write_text(SHOW, encoding="utf-8")
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.write(folder / "app" / "__main__.py", "__main__.py")
    for path in ("app", "app.zip"):
        assert "__main__ " in same(path, "argument").out


@pytest.mark.parametrize(
    "program",
    [
        "import sys; sys.exit(7)",
        "import sys; sys.exit('a message')",
        "raise SystemExit",
        "def inner():\n    1 / 0\ninner()",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('x') from error",
        "this is no Python",
        "# -*- coding: latin-1 -*-\nprint('caf\\351')",
        "raise KeyboardInterrupt",
        "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__, a[2].tb_lineno)\n1/0",
        "import atexit\natexit.register(print, 'bye')\nraise LookupError",
    ],
)
def test_a_program_ends_as_under_python(folder: Path, program: str) -> None:
    (folder / "program.py").write_bytes(program.encode("latin-1"))
    same("program.py")


def test_ctrl_c_ends_a_program_as_under_python(folder: Path) -> None:
    program = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(9)\n"
    (folder / "program.py").write_text(program, encoding="utf-8")
    done = run(*FIBRIL, "program.py")
    assert done.status == -signal.SIGINT
    assert re.search(r'^Traceback .*\n  File ".*/program.py", line [234]', done.err)
    assert done.err.endswith("KeyboardInterrupt\n")


WHAT_IS_PATCHED = """
from fibril import monkey
import sys
try:
    import gevent
    served = gevent.__fibril_version__ is not None
except (ImportError, AttributeError):
    served = False
print(monkey.is_anything_patched(), served)
"""


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ([], "True False"),
        (["--no-patch"], "False False"),
        (["--gevent"], "False True"),
        (["--gevent", "--patch"], "True True"),
        (["--gevent", "--no-patch", "--"], "False True"),
    ],
)
def test_options_say_what_is_patched_and_served(
    folder: Path, options: list[str], answer: str
) -> None:
    (folder / "program.py").write_text(WHAT_IS_PATCHED, encoding="utf-8")
    assert run(*FIBRIL, *options, "program.py") == Finished(0, answer + "\n", "")


STACKS = {
    "the watchdog's report": """
import sys
import fibril
from fibril import native
from fibril.hub import set_blocking_limit
class Lines:
    text = ""
    def write(self, text): self.text += text
    def flush(self): pass
def stack():
    set_blocking_limit(0.02)
    fibril.spawn(int)
    sys.stderr = lines = Lines()
    for _ in range(3000):
        if lines.text: break
        native.sleep(0.01)
    print(lines.text.partition("most recent call last):")[2])
stack()
""",
    "a LoopExit": """
import fibril.event
def stack():
    try:
        fibril.event.Event().wait()
    except fibril.LoopExit as error:
        print(error)
stack()
""",
    "print_run_info": """
import sys
from fibril.util import print_run_info
def stack():
    print_run_info(file=sys.stdout)
stack()
""",
}


@pytest.mark.parametrize("what", STACKS)
@pytest.mark.parametrize("how", [["program.py"], ["-m", "program"], ["."]])
def test_a_stack_that_is_told_begins_in_the_program(
    folder: Path, what: str, how: list[str]
) -> None:
    for name in ("program.py", "__main__.py"):
        (folder / name).write_text(STACKS[what], encoding="utf-8")
    out = run(*FIBRIL, *how).out
    assert ".py" in out
    assert "in stack" in out
    assert "in <module>" in out
    assert "runpy" not in out
    assert os.path.join("fibril", "cli") not in out
    assert os.path.join("fibril", "__main__.py") not in out


def test_the_program_runs_in_the_main_fiber(folder: Path) -> None:
    (folder / "program.py").write_text(
        "import time, fibril\n"
        "assert fibril.getcurrent() is fibril.get_hub().main\n"
        "task = fibril.spawn_later(0.001, print, 'task')\n"
        "time.sleep(0.01)\n"
        "fibril.spawn(time.sleep, 60)\n"
        "print('end')\n",
        encoding="utf-8",
    )
    assert run(*FIBRIL, "program.py") == Finished(0, "task\nend\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "missing.py"], "fibril: cannot run 'missing.py': there is no such file."),
        (["run"], "fibril: nothing to run. Give the path of a program"),
        (["run", "-m"], "fibril: nothing to run."),
        (["run", "--fast", "x.py"], "fibril: `fibril run` has no option '--fast'."),
        (["jump"], "fibril: there is no command 'jump'."),
        ([], "fibril: no command is given."),
    ],
)
def test_what_cannot_be_done_is_said(folder: Path, arguments: list[str], message: str) -> None:
    done = run(sys.executable, "-m", "fibril", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(message)


def test_a_missing_module_is_told_as_by_python(folder: Path) -> None:
    assert "No module named" in same("-m", "missing_module").err


def test_version_and_help() -> None:
    for option in ("--version", "-V"):
        done = run(sys.executable, "-m", "fibril", option)
        assert done == Finished(0, f"fibril {fibril.__version__}\n", "")
    for options in (["--help"], ["-h"], ["run", "--help"]):
        done = run(sys.executable, "-m", "fibril", *options)
        assert (done.status, done.err) == (0, "")
        assert done.out.startswith("usage: fibril run")
        assert done.out.isascii()  # or a terminal in the POSIX locale could not show it


# ---- gevent's programs ----

IMPORTS_GEVENT = """
import gevent
print("imported")
"""


def real_ones(folder: Path) -> None:
    """As if the real gevent and greenlet were installed."""
    for name in ("gevent", "greenlet"):
        (folder / "site" / name).mkdir(parents=True)
        (folder / "site" / name / "__init__.py").write_text("", encoding="utf-8")


def run_beside(folder: Path, *arguments: str) -> Finished:
    """`fibril run`, where nothing is installed but fibril and what lies in the folder's `site`."""
    only = folder / "only"
    if not only.exists():
        only.mkdir()
        (only / "fibril").symlink_to(Path(PACKAGE_PARENT, "fibril"))
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [folder / "site", only]))}
    done = subprocess.run(
        [sys.executable, "-S", "-m", "fibril", "run", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def test_a_program_that_imports_gevent_is_told_how_to_run_it(folder: Path) -> None:
    (folder / "program.py").write_text(IMPORTS_GEVENT, encoding="utf-8")
    for how, program in ((["program.py"], "program.py"), (["-m", "program"], "-m program")):
        done = run_beside(folder, *how)
        assert done.status == 1
        assert done.err.splitlines()[-1].startswith(  # from 3.15 on Python adds a hint of its own
            "ModuleNotFoundError: cannot import 'gevent': it is not installed. To have fibril "
            f"serve it, run the program by `fibril run --gevent {program}`."
        )


def test_the_real_gevent_is_not_let_in_beside_the_patch(folder: Path) -> None:
    real_ones(folder)
    (folder / "program.py").write_text(IMPORTS_GEVENT, encoding="utf-8")
    done = run_beside(folder, "program.py")
    assert done.status == 1
    assert "it would schedule beside fibril, which has patched the standard library." in done.err
    assert "`fibril run --gevent program.py`" in done.err
    assert run_beside(folder, "--no-patch", "program.py") == Finished(0, "imported\n", "")


def test_who_only_looks_for_gevent_or_does_without_is_not_disturbed(folder: Path) -> None:
    program = """
from importlib.util import find_spec
try:
    import gevent
except ImportError as error:
    print(type(error).__name__, error.name)
print(find_spec("gevent") is not None, find_spec("greenlet") is not None)
try:
    import greenlet
    print("greenlet")
except ModuleNotFoundError as error:
    print(error)
"""
    (folder / "program.py").write_text(program, encoding="utf-8")
    first, second, third = run_beside(folder, "program.py").out.splitlines()
    assert (first, second) == ("ModuleNotFoundError gevent", "False False")
    assert third.startswith("cannot import 'greenlet': it is not installed.")
    real_ones(folder)
    done = run_beside(folder, "program.py")
    assert done.out == "ModuleNotFoundError gevent\nTrue True\ngreenlet\n"


CHILDREN_OF_ALL_KINDS = """
import importlib.metadata, multiprocessing, subprocess, sys
import gevent, greenlet

def whose(_):
    return hasattr(gevent, "__fibril_version__") and hasattr(greenlet, "__fibril_version__")

if __name__ == "__main__":
    print(importlib.metadata.version("gevent"))
    for method in ("spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(pool.map(whose, [0]), flush=True)
    child = "import greenlet; print(hasattr(greenlet, '__fibril_version__'))"
    subprocess.run([sys.executable, "-c", child], check=True)
"""


def test_processes_that_a_program_starts_get_gevent_too(folder: Path) -> None:
    (folder / "program.py").write_text(CHILDREN_OF_ALL_KINDS, encoding="utf-8")
    done = run(*FIBRIL, "--gevent", "program.py")
    assert done == Finished(0, "26.9.0\n[True]\n[True]\nTrue\n", "")


def test_what_has_imported_greenlet_before_is_told_of(folder: Path) -> None:
    real_ones(folder)
    (folder / "site" / "sitecustomize.py").write_text("import greenlet\n", encoding="utf-8")
    (folder / "program.py").write_text("", encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "site"), PACKAGE_PARENT])}
    done = subprocess.run(
        [*FIBRIL, "--gevent", "program.py"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("fibril: cannot serve gevent and greenlet by fibril: the real g")
