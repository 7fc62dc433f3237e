"""Runs a server that ends for certain. A program, not a test.

    python -m tests.clients.keeper FOLDER SIGNAL COMMAND ARGUMENT…

The server ends when our stdin does: when the tests close it, or when their process is gone, killed
included. Servers start others, in sessions of their own: we are the "subreaper" of all of them, so
each is a descendant of ours as long as it lives. The server gets SIGNAL, then all SIGKILL; then the
folder goes.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 5.0


def children(pid: int) -> Iterator[int]:
    """Those of the process and theirs."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it may end meanwhile
            for child in map(int, path.read_text(encoding="ascii").split()):
                yield child
                yield from children(child)


def reap() -> bool:
    """Take note of who has ended; is anybody left?"""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return True
    except ChildProcessError:
        return False


def kill(pid: int, how: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def end(server: int, how: int) -> None:
    """Nobody is left afterwards."""
    kill(server, how)
    deadline = time.monotonic() + (0 if how == signal.SIGKILL else GRACE_S)
    while reap():
        if time.monotonic() > deadline:
            for pid in [*children(os.getpid())]:
                kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def main() -> None:
    folder, how, *command = sys.argv[1:]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda *_: None)  # Ctrl-C is for the tests, whose end we see
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    select.select([sys.stdin, os.pidfd_open(server.pid)], [], [])
    end(server.pid, signal.Signals[how])
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
