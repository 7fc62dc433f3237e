"""backend.py: how pip builds fibril: as meson-python does, except for `pip install --editable`.

An editable install of meson-python's runs ninja at each import, and the ninja that it remembers
was deleted with pip's build environment. Here the extension is built once, as for a wheel, into the
source tree beside the Python files, and what is installed is a line that puts src/ on the path: no
import hook, nothing to run, and edited Python files are seen at once. After an edit of C: install
again.

Called by pip, in its build environment, as pyproject.toml says. Where fibril cannot run, that is
said before anything else happens. Do not add: ways to build.
"""

from __future__ import annotations

import base64
import hashlib
import runpy
import tempfile
import zipfile
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent.parent / "src"
runpy.run_path(str(SOURCE / "fibril" / "_supported.py"), run_name="__main__")

from mesonpy import (
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

EXTENSION = "fibril/_core."


def build_editable(
    wheel_directory: str,
    config_settings: dict[Any, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """A wheel that holds the path of src/ and what pip must know; its name."""
    with tempfile.TemporaryDirectory() as folder:
        name = str(build_wheel(folder, config_settings, metadata_directory))
        with zipfile.ZipFile(Path(folder, name)) as built:
            contents = {path: built.read(path) for path in built.namelist()}
    files = {"fibril.pth": f"{SOURCE}\n".encode()}
    for path, content in contents.items():
        if path.startswith(EXTENSION) and path.endswith(".so"):
            put(SOURCE / path, content)
        elif path.partition("/")[0].endswith(".dist-info") and not path.endswith("/RECORD"):
            files[path] = content
    record = next(path for path in contents if path.endswith(".dist-info/RECORD"))
    files[record] = b"".join(map(record_line, files, files.values())) + f"{record},,\n".encode()
    with zipfile.ZipFile(Path(wheel_directory, name), "w") as editable:
        for path, content in files.items():
            editable.writestr(path, content)
    return name


def put(path: Path, content: bytes) -> None:
    """A new file, not new content: a process that runs may have the old one loaded."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    fresh.replace(path)


def record_line(path: str, content: bytes) -> bytes:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n".encode()
