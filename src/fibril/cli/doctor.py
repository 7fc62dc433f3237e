"""`fibril doctor`: what of a program blocks all its tasks, by module and line, and what to do.

The idea: the program is imported, patched as `fibril run` would patch it, or run to its end if it
is wished. Then it is looked at: who still has an original (fibril.monkey.remains), which libraries
of C code wait by themselves (fibril.drivers), what is not patched at all. What is kept on purpose
is told of and is no fault.

Do not add: changes to the program. Guesses: what is listed does block, if it is called.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fibril import drivers
from fibril.cli.run import Request, prepare, read_run, run, set_path

if TYPE_CHECKING:
    from fibril.monkey.remains import Remain

__all__ = ["examine", "read_doctor"]

_NEXT = {
    "a name": "If it is wanted, give it a name that says so (real_sleep); else import it by name "
    "after the patch.",
    "the default of an argument": "Patch before this module is imported.",
    "a variable of the function around it": "Patch before this module is imported.",
    "an attribute of a class": "Patch before this module is imported, or call it by its module.",
    "a base class": "Patch before this module is imported: a class keeps the base that it has.",
}
_ELSE = "Patch first thing in the program, or run it by `fibril run`."


def read_doctor(arguments: list[str]) -> tuple[Request, bool]:
    """What a command line that begins with `doctor` asks for, and whether the program shall be run.

    Switches: never. Threads: owner. Raises UsageError.
    """
    is_run = arguments[1:2] == ["--run"]
    return read_run([arguments[0], *arguments[1 + is_run :]]), is_run


def examine(request: Request, is_run: bool) -> int:
    """Import or run a program and say what blocks in it; 1 if anything does, 2 if it cannot be.

    Switches: if it must wait. Threads: owner.
    """
    from fibril.monkey import MonkeyPatchWarning, remains

    warnings.simplefilter("ignore", MonkeyPatchWarning)  # all that it says is in the report
    try:
        if is_run:
            failed = run(request) == 2
        else:
            failed = not prepare(request) or not _import(request)
    except SystemExit:
        failed = False
    if failed:
        return 2
    left = remains.find()
    faults, notes = list(_faults(left)), list(_notes(left))
    count = f"{len(faults)} thing{'s' * (len(faults) != 1)} that would block all tasks"
    print(f"fibril doctor: {request.target}: {count if faults else 'nothing blocks its tasks'}")
    for line in faults:
        print(f"\n{line}")
    if notes:
        print("\nNo faults, but to be known:")
        for line in notes:
            print(f"\n{line}")
    return 1 if faults else 0


def _import(request: Request) -> bool:
    """Import the program, under another name than __main__; whether that was possible."""
    try:
        if request.is_module:
            set_path(os.getcwd())
            importlib.import_module(request.target)
        else:
            _import_file(Path(request.target))
    except KeyboardInterrupt:
        print("fibril doctor: interrupted; what was imported by then:", file=sys.stderr)
    except Exception:
        traceback.print_exc()
        print(
            f"fibril: cannot look at {request.target!r}: it cannot be imported. Programs that have "
            "to be run, and not imported, are looked at by `fibril doctor --run`.",
            file=sys.stderr,
        )
        return False
    return True


def _import_file(path: Path) -> None:
    if path.is_dir():
        set_path(str(path.resolve()))
        path = path / "__main__.py"
    else:
        set_path(str(path.resolve().parent))
    name = path.stem if path.stem not in sys.modules else "__doctor__"
    loader = importlib.machinery.SourceFileLoader(name, str(path.resolve()))
    spec = importlib.util.spec_from_loader(name, loader)
    if spec is None:
        raise ImportError(f"no module can be made of {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)


# ---- what is found ----


def _faults(left: list[Remain]) -> Iterator[str]:
    from fibril.monkey import is_anything_patched, locks, patches

    if not is_anything_patched():
        yield (
            "Nothing is patched.\n  Begin the program with `from fibril import monkey; "
            "monkey.patch_all()`, or run it by `fibril run`."
        )
        return
    for name in [name for name in patches.unapplied() if name not in _kept()]:
        yield f"{name} is not patched.\n  Call fibril.monkey.patch_all() without {name}=False."
    for remain in left:
        if not remain.is_wanted:
            yield f"{_place(remain)}.\n  {_NEXT.get(remain.how, _ELSE)}"
    for name in sorted(locks.shared()):
        yield (
            f"{name} was made before the patch, so all tasks of a thread share it.\n"
            "  Patch before its module is imported."
        )
    for driver in drivers.find_used():
        if not driver.is_served:
            yield f"{driver.name} waits in C code.\n  {_sentence(driver.how)}"


def _notes(left: list[Remain]) -> Iterator[str]:
    for name in _kept():
        state = "imported" if name in sys.modules else "not imported"
        yield f"{name} is marked as never to be patched (fibril.monkey.keep); it is {state}."
    for remain in left:
        if remain.is_wanted:
            yield f"{_place(remain)}, on purpose."
    for driver in drivers.find_used():
        if driver.is_served:
            yield f"{driver.name} waits in C code.\n  It is served: {driver.how}."


def _kept() -> list[str]:
    from fibril.monkey.kept import all_kept

    return all_kept()


def _place(remain: Remain) -> str:
    file = getattr(sys.modules.get(remain.module), "__file__", None) or remain.module
    where = os.path.relpath(file) if os.path.exists(file) else file
    return (
        f"{where}:{remain.line or '?'}: {remain.module}: {remain.place} is the original "
        f"{remain.original} ({remain.how})"
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
