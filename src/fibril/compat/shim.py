"""Importable `gevent`, `greenlet` and `eventlet` packages in a folder: they hand over to fibril.

The idea: a folder on PYTHONPATH reaches a program and every Python that it starts, and goes before
what is installed. What is written is a copy of compat.shims_of(), and thin: a package whose only
act is to have fibril.compat take its place, and metadata, so that whoever asks which version is
installed gets an answer. Beside them lie greenlet's header, and a RECORD, by which pip can remove
them.

Where no variable reaches, as with -I, the interpreter itself can put that folder on the path when
it starts: by a line of a .pth file, or from 3.15 on by one of a .start file.

Invariant: only what fibril wrote itself is ever replaced or removed.
Do not add: names of what is served; those are fibril.compat's.
"""

import base64
import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from fibril import compat

__all__ = ["ShimError", "write", "write_start"]

_MARK = "Written by `fibril shim`"
_START = '''\
"""gevent and greenlet served by fibril. {mark} --site`: rm this and {line} to undo it."""

import sys

FOLDER = {folder!r}


def begin():
    if FOLDER not in sys.path:
        sys.path.insert(0, FOLDER)
'''


class ShimError(Exception):
    """A folder cannot be written to, or holds what is not ours to replace."""


def write(folder: str, names: Iterable[str] = compat.DEFAULT) -> list[str]:
    """Write thin packages of these names into a folder; what is there now, as "name version".

    The folder is made if need be. Packages that were written before and are not asked for now are
    taken away, so the folder ends up the same however often this is called.

    Switches: never. Threads: any. Raises ShimError.
    """
    names = sorted(names)
    top = Path(folder)
    try:
        for name in names:
            _refuse_foreign(top, name)
        top.mkdir(parents=True, exist_ok=True)
        for name in compat.NAMES:
            _remove_ours(top, name, is_kept=name in names)
        for name in names:
            _write_package(top, name)
    except OSError as error:
        raise ShimError(
            f"cannot write {os.fspath(error.filename or folder)!r}: {error.strerror}. "
            "Give a folder that you may write to, or one that does not exist yet."
        ) from error
    return [f"{name} {compat.VERSIONS[name]}" for name in names]


def write_start(folder: str) -> list[str]:
    """Have each program of this Python get fibril by these names; the files that were written.

    folder: the interpreter's site-packages.

    Switches: never. Threads: any. Raises ShimError.
    """
    if sys.version_info >= (3, 15):
        name, line = "fibril-shim.start", "_fibril_shim:begin\n"
    else:
        name, line = "fibril-shim.pth", "import _fibril_shim; _fibril_shim.begin()\n"
    words = {"mark": _MARK.rstrip("`"), "line": name, "folder": compat.shims_of("gevent")}
    files = {"_fibril_shim.py": _START.format(**words), name: line}
    try:
        for place, text in files.items():
            _put(Path(folder, place), text)
    except OSError as error:
        raise ShimError(
            f"cannot write into {folder!r}: {error.strerror}. Use an environment of your own "
            "(`python -m venv`), or a folder on PYTHONPATH: `fibril shim FOLDER`."
        ) from error
    return sorted(files)


def _claims(top: Path, name: str) -> Iterator[Path]:
    """Whatever in a folder provides a package of that name, or says that one is installed."""
    for pattern in (name, f"{name}.py", f"{name}.*.so", f"{name}-*.*-info", f"{name}.egg-*"):
        yield from top.glob(pattern)


def _is_ours(path: Path) -> bool:
    sign = path / ("METADATA" if path.suffix == ".dist-info" else "__init__.py")
    return sign.is_file() and _MARK in sign.read_text(errors="replace", encoding="utf-8")


def _refuse_foreign(top: Path, name: str) -> None:
    if top.exists() and not top.is_dir():
        raise ShimError(f"cannot write into {str(top)!r}: it is not a folder. Give another name.")
    for path in _claims(top, name):
        if not _is_ours(path):
            raise ShimError(
                f"cannot write {name!r} into {str(top)!r}: {path.name!r} is there, which `fibril "
                "shim` did not write. Give a folder of its own: one on PYTHONPATH goes before what "
                "is installed, so nothing has to be replaced. `fibril shim --site` needs none."
            )


def _remove_ours(top: Path, name: str, *, is_kept: bool) -> None:
    current = f"{name}-{compat.VERSIONS[name]}.dist-info"
    for path in _claims(top, name):
        if not (is_kept and path.name in (name, current)) and _is_ours(path):
            shutil.rmtree(path)


def _write_package(top: Path, name: str) -> None:
    info = f"{name}-{compat.VERSIONS[name]}.dist-info"
    shims = compat.shims_of(name)
    folders = [Path(shims, name), Path(shims, info)]
    found = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    headers = Path(compat.get_include(), name).glob("*.h")
    files = {
        f"{path.parent.name}/{path.name}": path.read_text(encoding="utf-8")
        for path in sorted([*found, *headers])
    }
    files[f"{info}/RECORD"] = "".join(map(_record, files.items())) + f"{info}/RECORD,,\n"
    for place, text in files.items():
        _put(top / place, text)


def _record(file: tuple[str, str]) -> str:
    place, text = file
    data = text.encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{place},sha256={digest},{len(data)}\n"


def _put(path: Path, text: str) -> None:
    """Another process may import the package meanwhile: it sees the old file or the new one."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
