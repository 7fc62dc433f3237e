"""One of CPython's test files in a process of its own: what became of each test.

The idea: the process writes down each test as it goes (recorded.py), so whoever hangs or takes the
interpreter down is the one that had begun last. Limits are on silence, because how long a whole
file takes says nothing: no test may take longer than SILENCE_S.

Invariant: with the process goes its group, and the folder where it made its files.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

HERE = Path(__file__).parent
SILENCE_S = 150
LOOK_S = 0.2
FAILED = ("fail", "error", "hung", "crashed")


class Run(NamedTuple):
    """What one process did."""

    outcomes: dict[str, str]  # by test: ok, skip, or one of FAILED
    code: int | None  # its exit code; None: it hung
    said: str
    seconds: float


def command(path: Path, *, is_patched: bool, options: Iterable[str]) -> list[str]:
    program = "patched.py" if is_patched else "recorded.py"
    return [sys.executable, str(HERE / program), str(path), *options]


def run(
    file: str, options: Iterable[str] = (), *, is_patched: bool = True, silence_s: float = SILENCE_S
) -> Run:
    """Run that file, with options for CPython's runner."""
    arguments = [*options, file]
    return observe(
        file,
        lambda path: command(path, is_patched=is_patched, options=arguments),
        silence_s=silence_s,
    )


def observe(
    file: str,
    make_command: Callable[[Path], list[str]],
    environ: Mapping[str, str] = MappingProxyType({}),
    *,
    silence_s: float = SILENCE_S,
) -> Run:
    """Run the command for the path of outcomes that it gets, with more variables of the process's
    environment."""
    began = time.monotonic()
    # Short: tests make names of Unix sockets and of the longest paths of it. What a test locked up
    # may stay behind.
    with tempfile.TemporaryDirectory(prefix="s-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        path, log = place / ".outcomes", place / ".log"
        path.touch()
        with log.open("wb") as output:
            process = subprocess.Popen(
                make_command(path),
                cwd=place,
                env={**environment(place), **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                code = watch(process, path, silence_s)
            finally:
                end_group(process)
        said = log.read_text(encoding="utf-8", errors="replace")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return Run(read(lines, file, code), code, said, time.monotonic() - began)


def environment(place: Path) -> dict[str, str]:
    """Tests start Pythons, and compare what those say with what is usual."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "TMPDIR": str(place)}


def watch(process: subprocess.Popen[bytes], path: Path, silence_s: float) -> int | None:
    """Its exit code; None after too long a silence, when it was asked to say where it is."""
    size, since = 0, time.monotonic()
    while True:
        try:
            return process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            pass
        if path.stat().st_size != size:
            size, since = path.stat().st_size, time.monotonic()
        elif time.monotonic() - since > silence_s:
            process.send_signal(signal.SIGABRT)  # CPython's runner has faulthandler enabled
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                pass
            return None


def end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def read(lines: Iterable[str], file: str, code: int | None) -> dict[str, str]:
    """Outcome by test. What a subtest did, or a test in the end, cannot be made good any more."""
    outcomes: dict[str, str] = {}
    current = ""
    for line in lines:
        word, _, test = line.partition(" ")
        test = short(test)
        if word == "begin":
            current = test
        elif word == "end":
            current = ""
        elif outcomes.get(test) not in FAILED:
            outcomes[test] = word
    if code is None or code < 0:
        word = "hung" if code is None else "crashed"
        outcomes[current or f"{file}, at its end"] = word
    return outcomes


def short(test: str) -> str:
    """The ID without what all have in common."""
    return test.replace("(test.", "(").removeprefix("test.")
