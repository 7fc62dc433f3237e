"""The benchmark programs in C: compiled when their source is newer, into build/bench/."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE.parent / "build" / "bench"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")
PROGRAMS = ("echo_client", "echo_server")


def build() -> None:
    """Compile what is not up to date; a compiler's error ends the run."""
    BUILT.mkdir(parents=True, exist_ok=True)
    headers = max(path.stat().st_mtime for path in HERE.glob("*.h"))
    for name in PROGRAMS:
        source, program = HERE / f"{name}.c", BUILT / name
        newest = max(headers, source.stat().st_mtime)
        if not program.exists() or program.stat().st_mtime < newest:
            compiler = os.environ.get("CC", "cc").split()
            subprocess.run([*compiler, *FLAGS, "-o", str(program), str(source)], check=True)
