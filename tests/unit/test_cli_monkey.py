"""`python -m gevent.monkey`: gevent's own way to run a program patched, where fibril is served."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fibril.compat import shim
from tests.conftest import LIMIT_S, PACKAGE_PARENT, Finished

SHOW = """
import sys, threading, gevent
from gevent import monkey
native = monkey.get_original("_thread", "get_ident")
patched = [name for name in ("select", "time", "threading") if monkey.is_module_patched(name)]
socket = monkey.is_object_patched("socket", "socket")
dns = monkey.is_object_patched("socket", "getaddrinfo")
print(__name__, sys.argv, sys.path[0] == sys.argv[0].rpartition("/")[0])
print(*patched, *["socket"] * socket, *["dns"] * dns)
print(native() != gevent.get_hub().threadpool.apply(native))
print(sys.modules["gevent.monkey"] is monkey)
"""


class Program:
    """A program in a folder, and where the shim is."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "program.py")
        (folder / "program.py").write_text(SHOW, encoding="utf-8")
        shim.write(str(folder / "shim"))
        self._env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder / "shim"), str(folder), PACKAGE_PARENT]),
        }

    def run(self, *arguments: str) -> Finished:
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(
            command, env=self._env, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def shown(self, *options: str) -> str:
        done = self.run("gevent.monkey", *options, self.path, "argument", "--verbose")
        assert (done.status, done.err) == (0, "")
        first, patched, is_native, is_same = done.out.splitlines()
        assert first == f"__main__ {[self.path, 'argument', '--verbose']} True"
        assert (is_native, is_same) == ("True", "True")
        return patched


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


ALL = {"socket", "select", "time", "threading", "dns"}


@pytest.mark.parametrize(
    ("options", "patched"),
    [
        ([], ALL),
        (["--no-socket"], ALL - {"socket", "dns"}),
        (["--no-dns", "--no-time"], ALL - {"dns", "time"}),
        (["--no-aggressive", "--no-builtins", "--Event"], ALL),
        (["--socket"], {"socket"}),
        (["--socket", "--dns", "--time"], {"socket", "dns", "time"}),
        (["--dns"], {"dns"}),
        (["--select", "--"], {"select"}),
    ],
)
def test_options_say_what_is_patched(
    program: Program, options: list[str], patched: set[str]
) -> None:
    assert set(program.shown(*options).split()) == patched


def test_a_module_is_run_as_by_python(program: Program) -> None:
    done = program.run("gevent.monkey", "--module", "program", "argument")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"__main__ {[program.path, 'argument']}")


def test_verbose_says_what_is_patched_before_it_is(program: Program) -> None:
    done = program.run("gevent.monkey", "--verbose", "--no-ssl", program.path)
    assert (done.status, done.err) == (0, "")
    said, _, shown = done.out.partition("__main__ ")
    assert said.startswith("gevent.monkey.patch_all(ssl=False)\n")
    for what in (sys.version, "sys.path=", "sys.modules=", f"cwd={os.getcwd()}"):
        assert what in said
    assert "argument" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sockets", "x.py"], "gevent.monkey: there is no option '--sockets'"),
        (["--no-bogus", "x.py"], "gevent.monkey: there is no option '--no-bogus'"),
        (["--module"], "gevent.monkey: nothing to run"),
        (["missing.py"], "fibril: cannot run 'missing.py': there is no such file"),
    ],
)
def test_what_cannot_be_done_is_said(program: Program, arguments: list[str], message: str) -> None:
    done = program.run("gevent.monkey", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(message)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_the_options(program: Program, arguments: list[str]) -> None:
    done = program.run("gevent.monkey", *arguments)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("usage: python -m gevent.monkey")
    for option in ("--no-NAME", "socket, dns, ", "--module", "--verbose"):
        assert option in done.out


def test_a_program_ends_with_its_own_status_and_traceback(program: Program) -> None:
    Path(program.path).write_text("def inner():\n    1 / 0\ninner()\n", encoding="utf-8")
    plain = subprocess.run(
        [sys.executable, program.path], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    done = program.run("gevent.monkey", program.path)
    assert (done.status, done.err) == (plain.returncode, plain.stderr)


def test_it_can_be_run_by_fibril_and_called(program: Program) -> None:
    by_command = ["fibril", "run", "--gevent", "-m", "gevent.monkey", "--no-time", program.path]
    done = program.run(*by_command)
    assert (done.status, done.err) == (0, "")
    assert "select threading socket dns" in done.out
    Path(program.path).with_name("call.py").write_text(
        f"import sys\nfrom gevent.monkey import main\nsys.argv[1:] = ['--time', {program.path!r}]\n"
        "sys.exit(main())",
        encoding="utf-8",
    )
    done = program.run("call")
    assert (done.status, done.err) == (0, "")
    assert "\ntime\n" in done.out
