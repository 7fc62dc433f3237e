"""The demo's child processes: how they are started, read, and certainly ended.

Each child is in a session of its own, so that Ctrl-C in the terminal reaches only the demo, which
then ends its children. Their stderr goes to a file, shown only when one of them fails.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

HERE = Path(__file__).parent
END_S = 2.0


class Children:
    """All children of the demo."""

    def __init__(self, errors: IO[str]) -> None:
        self._children: list[subprocess.Popen[str]] = []
        self._errors = errors

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start this Python with arguments, with pipes for stdin and stdout."""
        child = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "NO_PROXY": "*", "no_proxy": "*", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def line(self, child: subprocess.Popen[str]) -> str:
        """The next line that a server prints: it has something to say or has failed."""
        assert child.stdout
        return child.stdout.readline() or self._fail(child)

    def events(self, child: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
        """What a child reports, a JSON object in each line, until it ends well."""
        assert child.stdout
        for line in child.stdout:
            yield json.loads(line)
        if child.wait() != 0:
            self._fail(child)

    def errors(self) -> str:
        """What the children have written to stderr."""
        self._errors.seek(0)
        return self._errors.read()

    def _fail(self, child: subprocess.Popen[str]) -> NoReturn:
        raise RuntimeError(f"{child.args!r} ended with code {child.wait(END_S)}")

    def end(self) -> None:
        """End the children that still run: politely, then for certain."""
        for child in self._children:
            child.terminate()
        for child in self._children:
            try:
                child.wait(END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()


@contextmanager
def ended_children() -> Iterator[Children]:
    """Children that are ended when the `with` block is left; a failure shows what they said."""
    with tempfile.TemporaryFile("w+", errors="replace", encoding="utf-8") as errors:
        children = Children(errors)
        try:
            yield children
        except Exception:
            sys.stderr.write(children.errors())
            raise
        finally:
            children.end()


def memory_bytes(child: subprocess.Popen[str]) -> int:
    """What a child occupies: its resident pages and the page tables for them."""
    status = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return sum(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmPTE"))


def cpu_seconds(child: subprocess.Popen[str]) -> float:
    """What a child has used of the processors' time so far, its own and the kernel's for it."""
    stat = Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8")
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
