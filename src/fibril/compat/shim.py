"""Importable `gevent` and `greenlet` packages in a folder, which hand over to fibril.

The idea: a folder on PYTHONPATH reaches a program and every Python that it starts, and goes before
what is installed. What is written is thin: a package whose only act is to have fibril.compat take
its place, and metadata, so that whoever asks which version is installed gets an answer.

Invariant: only what fibril wrote itself is ever replaced or removed.
Do not add: names of gevent or greenlet; those are fibril.compat's.
"""

import base64
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from fibril import compat

__all__ = ["ShimError", "write"]

_MARK = "Written by `fibril shim`"
_PACKAGE = '''\
"""{name}, served by fibril. {mark}: run that again rather than edit this."""

try:
    from fibril import compat as _compat
except ImportError as error:
    import sys as _sys

    raise ImportError(
        f"cannot serve {name!r} by fibril: {{error}}. The package in {{__file__}} was written by "
        f"`fibril shim` and needs fibril, which {{_sys.executable}} does not have. Install fibril "
        "for that interpreter, or take the folder off PYTHONPATH.",
        name="fibril",
    ) from error

_compat.take_over(__name__)
'''
_METADATA = """\
Metadata-Version: 2.1
Name: {name}
Version: {version}
Summary: {name}'s names, served by fibril
Requires-Dist: fibril

{mark}. What runs is fibril, wherever that is installed.
"""


class ShimError(Exception):
    """A folder cannot be written to, or holds what is not ours to replace."""


def write(folder: str, names: Iterable[str] = compat.NAMES) -> list[str]:
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
                "is installed, so nothing has to be replaced."
            )


def _remove_ours(top: Path, name: str, *, is_kept: bool) -> None:
    current = f"{name}-{compat.VERSIONS[name]}.dist-info"
    for path in _claims(top, name):
        if not (is_kept and path.name in (name, current)) and _is_ours(path):
            shutil.rmtree(path)


def _write_package(top: Path, name: str) -> None:
    version = compat.VERSIONS[name]
    info = f"{name}-{version}.dist-info"
    words = {"name": name, "version": version, "mark": _MARK}
    files = {
        f"{name}/__init__.py": _PACKAGE.format(**words),
        f"{info}/METADATA": _METADATA.format(**words),
        f"{info}/INSTALLER": "fibril\n",
        f"{info}/top_level.txt": f"{name}\n",
    }
    for header in Path(compat.get_include(), name).glob("*.h"):
        files[f"{name}/{header.name}"] = header.read_text(encoding="utf-8")
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
