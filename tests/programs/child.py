"""One program run as a child process, with a hard time limit.

Its stdout is a pipe that the test reads line by line up to a deadline, its stderr a file that is
shown when something goes wrong. No threads and no wait without a limit. A child that prints faster
than the test reads blocks on the pipe: so programs that never end are read for a bounded time.
"""

import os
import select
import subprocess
import time
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

LIMIT_S = 30.0
SITE = Path(__file__).parent / "site"


class Child:
    """A program under test: its process, the lines it prints, and its certain end."""

    def __init__(self, command: list[str], env: dict[str, str], stderr: Path) -> None:
        self.command = command
        self.deadline = time.monotonic() + LIMIT_S
        self._stderr = stderr
        self._read = b""
        with stderr.open("wb") as errors:
            self.process = subprocess.Popen(
                command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )

    def line(self) -> str:
        """The next line printed; the test fails if none comes in time."""
        while b"\n" not in self._read:
            if not (data := self._more()):
                self.fail("ended before it printed what the test expects")
            self._read += data
        text, _, self._read = self._read.partition(b"\n")
        return text.decode()

    def lines(self, count: int) -> list[str]:
        """The next `count` lines printed."""
        return [self.line() for _ in range(count)]

    def rest(self) -> str:
        """All that is printed until the program closes its stdout."""
        while data := self._more():
            self._read += data
        text, self._read = self._read.decode(), b""
        return text

    def finish(self) -> int:
        """Close the program's stdin, wait until it ends by itself; its exit code."""
        assert self.process.stdin
        self.process.stdin.close()
        try:
            return self.process.wait(max(0.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.fail(f"did not end by itself within {LIMIT_S} s")

    def terminate(self) -> int:
        """Send SIGTERM; the exit code, which must come within two seconds."""
        self.process.terminate()
        try:
            return self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.fail("did not end within 2 s of SIGTERM")

    def errors(self) -> str:
        """What the program has written to stderr so far."""
        return self._stderr.read_text(errors="replace", encoding="utf-8")

    def fail(self, why: str) -> NoReturn:
        """Fail the test, showing the command and its stderr."""
        code = self.process.poll()
        pytest.fail(f"{self.command} (exit code {code}) {why}; its stderr:\n{self.errors()}")

    def close(self) -> None:
        """End the process, whatever state it is in, and close its pipes."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def _more(self) -> bytes:
        assert self.process.stdout
        fd = self.process.stdout.fileno()
        if not select.select([fd], [], [], max(0.0, self.deadline - time.monotonic()))[0]:
            self.fail(f"printed nothing more within {LIMIT_S} s")
        return os.read(fd, 1 << 16)


class Start(Protocol):
    """Starts a command with changes to the environment; the test's end is the child's end."""

    def __call__(self, command: list[str], **changes: str) -> Child: ...


def child_env(**changes: str) -> dict[str, str]:
    """This process's environment without proxies, with UTF-8, unbuffered output and `changes`."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env |= {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", **changes}
    env["PYTHONPATH"] = os.pathsep.join(p for p in (str(SITE), env.get("PYTHONPATH")) if p)
    return env
