"""How the tests here run a command: with meson of the environment that they run in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def ended(command: tuple[str, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command, which has ended by itself."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )


def output(*command: str, cwd: Path) -> str:
    """What it prints; it must end well."""
    done = ended(command, cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refusal(*command: str, cwd: Path = TOP) -> list[str]:
    """The lines that it prints; it must end with 1."""
    done = ended(command, cwd)
    assert done.returncode == 1, done.stdout + done.stderr
    return (done.stdout + done.stderr).splitlines()
