"""The `fibril` command: run a program as `python` would, look what blocks in it, write the shim."""

import os
import shlex
import sys
import sysconfig

import fibril
from fibril import compat
from fibril.cli.doctor import examine, read_doctor
from fibril.cli.run import read_run, run
from fibril.cli.usage import UsageError
from fibril.compat import shim

__all__ = ["main"]

USAGE = """\
usage: fibril run [--gevent] [--eventlet] [--no-patch] PROGRAM [ARGUMENT...]
       fibril run [--gevent] [--eventlet] [--no-patch] -m MODULE [ARGUMENT...]
       fibril doctor [--run] [--gevent] [--eventlet] [--no-patch] PROGRAM [ARGUMENT...]
       fibril doctor [--run] [--gevent] [--eventlet] [--no-patch] -m MODULE [ARGUMENT...]
       fibril shim [--eventlet] [--only eventlet|gevent|greenlet] FOLDER
       fibril shim --site
       fibril --version | COMMAND --help
"""
HELP = f"""\
{USAGE}
run: run a Python program whose waiting lets its other tasks run.

  PROGRAM      path of a Python file, or of a folder or zip file with a __main__.py
  -m MODULE    a module, as for `python -m`
  --gevent     serve the imports of gevent and greenlet by the program, and by each Python that
               it starts; such a program patches the standard library itself, so nothing is
               patched for it
  --eventlet   the same for the imports of eventlet and greenlet
  --patch      patch all the same
  --no-patch   leave the standard library as it is

doctor: import a program, and list what it has that blocks all its tasks, by module and line;
the exit code is 1 if there is any. Options as for run, and

  --run        run the program to its end before the look, as run does

shim: write packages called gevent and greenlet into a folder, which hand over to fibril.
With that folder on PYTHONPATH, a program and each Python that it starts get them:

  fibril shim shims && PYTHONPATH=shims python program.py

  FOLDER       is made if need be; packages in it that fibril did not write are left alone,
               and refused if they are called so
  --eventlet   eventlet and greenlet instead
  --only NAME  just that one: --only greenlet runs the real gevent on fibril's fibers
  --site       no folder, and no PYTHONPATH: each program of this Python gets them, whoever
               starts it and with whatever options but -S
"""


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; the exit code, where the program has not ended us.

    Switches: if it must wait. Threads: owner.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] in (["--version"], ["-V"]):
        print(f"fibril {fibril.__version__}")
        return 0
    asked = arguments[1:] if arguments[:1] in (["run"], ["doctor"], ["shim"]) else arguments
    if asked in (["--help"], ["-h"]):
        print(HELP, end="")
        return 0
    try:
        if arguments[:1] == ["shim"]:
            if arguments[1:] == ["--site"]:
                return _write_start(sysconfig.get_path("purelib"))
            return _write_shim(*_read_shim(arguments))
        if arguments[:1] == ["doctor"]:
            return examine(*read_doctor(arguments))
        request = read_run(arguments)
    except UsageError as error:
        print(f"fibril: {error}\n{USAGE}", end="", file=sys.stderr)
        return 2
    return run(request)


def _read_shim(arguments: list[str]) -> tuple[str, tuple[str, ...]]:
    names: tuple[str, ...] = compat.DEFAULT
    folders = []
    rest = arguments[1:]
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            folders.append(argument)
            continue
        if argument == "--eventlet":
            names = ("eventlet", "greenlet")
            continue
        option, _, name = argument.partition("=")
        if option == "--site":
            raise UsageError("--site goes with no folder and no other option.")
        if option != "--only":
            raise UsageError(f"`fibril shim` has no option {option!r}. `fibril --help` lists them.")
        name = name or (rest.pop(0) if rest else "")
        if name not in compat.NAMES:
            raise UsageError(f"--only takes eventlet, gevent or greenlet, not {name!r}.")
        names = (name,)
    if len(folders) != 1 or not folders[0]:
        raise UsageError(f"`fibril shim` writes into one folder; {len(folders)} are given.")
    return folders[0], names


def _write_shim(folder: str, names: tuple[str, ...]) -> int:
    try:
        written = shim.write(folder, names)
    except shim.ShimError as error:
        print(f"fibril: {error}", file=sys.stderr)
        return 1
    place = os.path.abspath(folder)
    print(f"{place}: {', '.join(written)}. Programs get this by PYTHONPATH={shlex.quote(place)}")
    return 0


def _write_start(folder: str) -> int:
    try:
        written = shim.write_start(folder)
    except shim.ShimError as error:
        print(f"fibril: {error}", file=sys.stderr)
        return 1
    files = shlex.join(os.path.join(folder, name) for name in written)
    print(f"Each program of {sys.executable} gets gevent and greenlet by fibril.")
    print(f"To undo it: rm {files}")
    return 0
