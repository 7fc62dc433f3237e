"""env.py: one virtual environment with fibril built into it, and a command run inside it.

    python3 tools/env.py KIND [--developer] [-- COMMAND ARGUMENT…]

KIND says how fibril is built and what is installed beside it:

    check    assertions on, every tool that `make check` needs
    release  what `pip install` gives a user; for the benchmarks and the matrix
    demo     the same, with no more beside it than the demonstration needs
    natives  beside large libraries of C code; for `make natives`
    asan     with AddressSanitizer and UndefinedBehaviorSanitizer; for `make asan`
    valgrind tells valgrind of each stack; for `make valgrind`
    torture  as `check`, with the C libraries of tests/torture; for `make torture`
    clients  beside clients of databases, brokers and other servers; for `make clients`
    api      beside the real gevent and greenlet; for `make api-diff`

The idea: fibril is installed as a user would have it, never in editable mode, so that tests and
their subprocesses see no import hook. What was done is written into the environment together with
a digest of its inputs, so doing it again costs nothing, and a change of any source is noticed.
CC names another compiler than cc; what it builds lies in environments of its own.

Runs on a bare Python: standard library only. Several may run at once: a lock per environment.
Do not add: anything about tests or benchmarks, which are the COMMAND's business.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
runpy.run_path(str(TOP / "src" / "fibril" / "_supported.py"), run_name="__main__")

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import shlex
import shutil
import subprocess
import sysconfig
from typing import NamedTuple

VERSION = ".".join(map(str, sys.version_info[:2]))
BUILD = TOP / "build"
# These have no wheels: they are there where they can be built. Debian: libmariadb-dev, pkg-config;
# libldap-dev, libsasl2-dev.
CAN_BUILD = {
    "mysqlclient": all(map(shutil.which, ("mariadb_config", "pkg-config"))),
    "python-ldap": all(map(os.path.exists, ("/usr/include/ldap.h", "/usr/include/sasl/sasl.h"))),
}
BUILT_CLIENTS = tuple(name for name, can in CAN_BUILD.items() if can)
DEVELOPER_MARK = BUILD / "developer"  # there: compiler warnings are errors
SOURCES = ("csrc", "src", "meson.build", "meson.options", "pyproject.toml", "LICENSE")


class Kind(NamedTuple):
    suffix: str  # of the environment's name and of the build folder's
    groups: tuple[str, ...]  # dependency groups of pyproject.toml
    options: tuple[str, ...]  # meson's


KINDS = {
    "check": Kind("", ("build", "test", "dev", "wheels"), ("-Db_ndebug=false", "-Ddebug=true")),
    "natives": Kind("-natives", ("build", "test", "natives"), ("-Db_ndebug=false", "-Ddebug=true")),
    "release": Kind("-release", ("build", "test"), ()),
    "demo": Kind("-demo", ("build", "demo"), ()),
    "asan": Kind(
        "-asan",
        ("build", "test"),
        (
            "-Dbuildtype=debugoptimized",
            "-Db_ndebug=false",
            "-Db_sanitize=address,undefined",
            "-Db_lundef=false",
            "-Dc_args=-fno-omit-frame-pointer -fno-sanitize-recover=undefined",
        ),
    ),
    "valgrind": Kind(
        "-valgrind",
        ("build", "test"),
        ("-Dbuildtype=debugoptimized", "-Db_ndebug=false", "-Dvalgrind=true"),
    ),
    "clients": Kind(
        "-clients",
        ("build", "test", "clients", *BUILT_CLIENTS),
        ("-Db_ndebug=false", "-Ddebug=true"),
    ),
    "api": Kind("-api", ("build", "greenlet", "gevent"), ()),
    "torture": Kind("-torture", ("build", "test", "torture"), ("-Db_ndebug=false", "-Ddebug=true")),
}


def compiler() -> str:
    return shlex.split(os.environ.get("CC", "cc"))[0]


def has_c_library() -> bool:
    """Whether the compiler finds the C library's headers. Without a compiler: nobody can tell."""
    source = "#include <stdlib.h>\n#include <unistd.h>\n"
    command = [compiler(), "-fsyntax-only", "-xc", "-"]
    try:
        done = subprocess.run(command, input=source.encode(), capture_output=True, check=False)
    except OSError:
        return True
    return done.returncode == 0


def missing_needs() -> list[str]:
    """What a build needs and this machine does not have, in words."""
    needs = {
        f"a C compiler, {compiler()} (Debian: apt install gcc)": shutil.which(compiler()),
        "the headers of the C library (Debian: apt install libc6-dev)": has_c_library(),
        f"the C headers of Python {VERSION} (Debian: apt install python{VERSION}-dev)": (
            Path(sysconfig.get_paths()["include"]) / "Python.h"
        ).exists(),
        f"Python's venv module (Debian: apt install python{VERSION}-venv)": (
            importlib.util.find_spec("ensurepip")
        ),
    }
    return [need for need, found in needs.items() if not found]


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def source_digest() -> str:
    """A digest of every file that the build reads, by name and content."""
    total = hashlib.sha256()
    for name in SOURCES:
        start = TOP / name
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            if path.is_file() and path.suffix not in (".pyc", ".so"):  # see tools/backend.py
                total.update(b"%s\0%d\0" % (bytes(path.relative_to(TOP)), path.stat().st_size))
                total.update(path.read_bytes())
    return total.hexdigest()


class Environment:
    """One virtual environment, for this interpreter and one kind of build."""

    def __init__(self, kind_name: str) -> None:
        self.kind = KINDS[kind_name]
        release = platform.python_version()  # to the patch release: 3.13.0 is not 3.13.15
        name = f"{release}{self.kind.suffix}"
        if compiler() != "cc":
            name += f"-{Path(compiler()).name}"
        if "FIBRIL_DEBIAN" in os.environ:  # another system in this same folder: tools/pythons
            name += f"-{os.environ['FIBRIL_DEBIAN']}"
        self.path = BUILD / f"venv-{name}"
        self.build_dir = BUILD / f"cp{name}"
        self.stamp = self.path / "fibril-stamp.json"

    def make(self) -> None:
        """Brings the environment up to date; does nothing that was done already."""
        BUILD.mkdir(exist_ok=True)
        with open(BUILD / f".{self.path.name}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._make_locked()

    def _make_locked(self) -> None:
        # A moved folder or another interpreter makes the scripts in bin/ point nowhere.
        place = digest(str(self.path), sys.base_prefix, sys.version)
        tools = digest((TOP / "pyproject.toml").read_text(encoding="utf-8"), *self.kind.groups)
        fibril = digest(source_digest(), *self._build_options())
        done = self._read_stamp()
        for name, inputs, work in (
            ("place", place, self._create),
            ("tools", tools, self._install_tools),
            ("fibril", fibril, self._install_fibril),
        ):
            if done.get(name) != inputs:
                work()
                done = {} if name == "place" else done  # a new place is empty
                done[name] = inputs
                self.stamp.write_text(json.dumps(done), encoding="utf-8")

    def _read_stamp(self) -> dict[str, str]:
        try:
            return dict(json.loads(self.stamp.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def _create(self) -> None:
        self._say("creating")
        shutil.rmtree(self.build_dir, ignore_errors=True)
        self._run([sys.executable, "-m", "venv", "--clear", str(self.path)])

    def _install_tools(self) -> None:
        groups = ", ".join(self.kind.groups)
        self._say("installing " + groups)
        failure = (
            f"cannot install what pyproject.toml lists as {groups}: pip says why, above."
            " It must reach PyPI, or the index that PIP_INDEX_URL names."
        )
        # The first that knows dependency groups.
        self._pip("--upgrade", "pip>=25.1", failure=failure)
        self._pip(
            *(f"--group={TOP / 'pyproject.toml'}:{group}" for group in self.kind.groups),
            failure=failure,
        )

    def _install_fibril(self) -> None:
        self._say("building fibril")
        options = [f"-Csetup-args={option}" for option in self._build_options()]
        self._pip(
            "--no-deps", "--no-build-isolation", f"-Cbuild-dir={self.build_dir}", *options, str(TOP)
        )

    def _build_options(self) -> tuple[str, ...]:
        return (*self.kind.options, f"-Dwerror={str(DEVELOPER_MARK.exists()).lower()}")

    def _say(self, what: str) -> None:
        print(f"{self.path.relative_to(TOP)}: {what}", file=sys.stderr, flush=True)

    def _pip(self, *arguments: str, failure: str = "") -> None:
        python = str(self.path / "bin" / "python")
        self._run(
            [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq", *arguments],
            failure,
        )

    def _run(self, command: list[str], failure: str = "") -> None:
        code = subprocess.run(command, cwd=TOP, env=self.variables(), check=False).returncode
        if code:
            command_failed = f"this failed (exit code {code}): {shlex.join(command)}"
            sys.exit(f"tools/env.py: {failure or command_failed}")

    def variables(self) -> dict[str, str]:
        """The process environment of everything that runs in here."""
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        kept["VIRTUAL_ENV"] = str(self.path)
        kept["PIP_CACHE_DIR"] = str(BUILD / "pip")  # nothing is written outside this folder
        kept["PATH"] = os.pathsep.join([str(self.path / "bin"), kept.get("PATH", os.defpath)])
        return kept


def sanitizer_variables() -> dict[str, str]:
    """What a Python that is not itself built with ASan needs to load a module that is."""
    library = subprocess.run(
        [compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return {
        "LD_PRELOAD": library,
        "PYTHONMALLOC": "malloc",  # so that ASan sees each object
        # CPython leaks at exit by design. Fake stacks move locals off the stack we measure. A guard
        # that is hit stays a SIGSEGV, which faulthandler and our tests want to see.
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0:handle_segv=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "FIBRIL_SANITIZER": "address",  # tests that measure memory or time skip themselves
    }


def link_default(environment: Environment) -> None:
    """Points .venv at the environment that was set up last, for editors and people."""
    link = TOP / ".venv"
    if link.is_symlink() or not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(environment.path.relative_to(TOP))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tools/env.py", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--developer", action="store_true", help="from now on warnings are errors")
    parser.add_argument("-- COMMAND", nargs="*", help="what to run inside")
    arguments, command = sys.argv[1:], []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, command = arguments[:at], arguments[at + 1 :]
    options = parser.parse_args(arguments)

    missing = missing_needs()
    if missing:
        sys.exit("\n".join(f"fibril cannot be built here: it needs {need}." for need in missing))
    if options.developer:
        BUILD.mkdir(exist_ok=True)
        DEVELOPER_MARK.touch()
    environment = Environment(options.kind)
    environment.make()
    if options.kind == "check":
        link_default(environment)
    if command:
        variables = environment.variables()
        if options.kind == "asan":
            variables |= sanitizer_variables()
        os.chdir(TOP)
        os.execvpe(command[0], command, variables)


if __name__ == "__main__":
    main()
