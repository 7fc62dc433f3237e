"""`fibril run`: a program under fibril, as `python` would run it.

The idea: the standard library is patched, or gevent, greenlet or eventlet are served, before the
program's first line; then the program gets what it would have from `python`: sys.argv,
sys.path[0], a `__main__` module that is its own, its exit code, and tracebacks that begin in it.

Do not add: options of the runtime; those are set in the program or its environment.
"""

import builtins
import os
import runpy
import sys
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from fibril import compat
from fibril._hub.report import LEADING
from fibril.cli import hint
from fibril.cli.usage import UsageError

__all__ = ["Request", "prepare", "read_run", "run", "set_path"]


class Request(NamedTuple):
    """What to run, and how."""

    is_module: bool
    target: str
    arguments: list[str]
    served: tuple[str, ...]  # packages that are fibril's: see fibril.compat
    patches: dict[str, bool] | None  # what patch_all() is given; None: it is not called


_SERVED = {"--gevent": compat.DEFAULT, "--eventlet": ("eventlet", "greenlet")}


def read_run(arguments: list[str]) -> Request:
    """What a command line that begins with `run` or `doctor` asks for.

    Switches: never. Threads: owner. Raises UsageError.
    """
    if arguments[:1] not in (["run"], ["doctor"]):
        given = f"there is no command {arguments[0]!r}" if arguments else "no command is given"
        raise UsageError(f"{given}. The commands are `run`, `doctor` and `shim`.")
    served: tuple[str, ...] = ()
    is_patched = None
    rest = arguments[1:]
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "--", "-"):
        option = rest.pop(0)
        if option in _SERVED:
            served += _SERVED[option]
        elif option in ("--patch", "--no-patch"):
            is_patched = option == "--patch"
        else:
            raise UsageError(
                f"`fibril {arguments[0]}` has no option {option!r}. `fibril --help` lists them."
            )
    if is_patched is None:
        is_patched = not served
    is_module = rest[:1] == ["-m"]
    if rest[:1] in (["-m"], ["--"]):
        rest.pop(0)
    if not rest:
        raise UsageError("nothing to run. Give the path of a program, or -m and a module's name.")
    return Request(is_module, rest[0], rest[1:], served, {} if is_patched else None)


def run(request: Request) -> int:
    """Run the program; the exit code, where it has not ended us.

    Switches: if it must wait. Threads: owner.
    """
    if not prepare(request):
        return 2
    try:
        _run_program(request)
    except SystemExit:
        raise
    except BaseException as error:
        _begin_traceback_in_program(error)
        raise
    return 0


def prepare(request: Request) -> bool:
    """See to all that is there before a program's first line; False if there is no program, or
    if it cannot have what it is to have.

    Switches: never. Threads: owner.
    """
    if not request.is_module and not os.path.exists(request.target):
        print(
            f"fibril: cannot run {request.target!r}: there is no such file. "
            "Give the path of a Python program, or -m and a module's name.",
            file=sys.stderr,
        )
        return False
    if request.served:
        try:
            compat.install(*request.served)
        except ImportError as error:
            print(f"fibril: {error}", file=sys.stderr)
            return False
        compat.serve_children(*request.served)
    elif "gevent" not in sys.modules:  # it is where `python -m gevent.monkey` runs a program
        program = f"-m {request.target}" if request.is_module else request.target
        hint.install(program, is_patched=request.patches is not None)
    if request.patches is not None:
        _patch(request.patches)
    sys.argv[:] = [request.target, *request.arguments]
    return True


def _patch(patches: dict[str, bool]) -> None:
    from fibril import monkey

    monkey.patch_all(**patches)
    if patches.get("dns") and not patches.get("socket", True):  # patch_all() takes it for a part
        monkey.patch_dns()


def _run_program(request: Request) -> None:
    module = ModuleType("__main__")
    module.__dict__.update(__builtins__=builtins, __annotations__={})
    sys.modules["__main__"] = module
    if request.is_module:
        set_path(os.getcwd())
        # What `python -m` itself calls: the public run_module would take __main__ away at the end.
        _run_module(request.target, True)
    elif os.path.isfile(request.target) and not _is_archive(request.target):
        set_path(os.path.dirname(os.path.realpath(request.target)))
        _run_file(module, os.path.abspath(request.target))
    else:
        set_path(os.path.abspath(request.target))
        _run_module("__main__", False)


_run_module: Any = vars(runpy)["_run_module_as_main"]


def _is_archive(path: str) -> bool:
    import zipfile

    return not path.endswith(".py") and zipfile.is_zipfile(path)


def set_path(first: str) -> None:
    """Where the program's own modules are looked for.

    Switches: never. Threads: owner.
    """
    if not sys.flags.safe_path:
        sys.path[0] = first


def _run_file(module: ModuleType, path: str) -> None:
    with open(path, "rb") as file:
        source = file.read()
    module.__file__ = path
    module.__loader__ = SourceFileLoader("__main__", path)
    if sys.version_info < (3, 15):
        module.__dict__["__cached__"] = None
    code = compile(source, path, "exec", dont_inherit=True)
    exec(code, module.__dict__)


def _begin_traceback_in_program(error: BaseException) -> None:
    """Have the interpreter print an error without the lines that led into the program."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_code.co_filename.startswith(LEADING):
        traceback = traceback.tb_next
    hook = sys.excepthook

    def report(kind: type[BaseException], value: BaseException, tb: TracebackType | None) -> None:
        sys.excepthook = hook
        if value is error:
            tb = traceback
            value.__traceback__ = tb
        hook(kind, value, tb)

    sys.excepthook = report
