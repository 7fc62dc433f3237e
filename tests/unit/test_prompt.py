"""input() at a terminal after the patch: others run while the user types."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LIMIT_S, PACKAGE_PARENT

PROGRAM = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the session's own
import fibril.monkey
fibril.monkey.patch_all()
import sys, threading, time
import fibril

fibril.hub.set_blocking_limit(0.05)
turns = 0

def count():
    global turns
    while True:
        time.sleep(0.001)
        turns += 1

threading.Thread(target=count, daemon=True).start()
"""


def at_a_terminal(tmp_path: Path, program: str, typed: list[bytes]) -> bytes:
    """What it shows, where after each "? " something is typed."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM + program, encoding="utf-8")
    terminal, end = os.openpty()
    environ = {**os.environ, "PYTHONPATH": PACKAGE_PARENT}
    child = subprocess.Popen(
        [sys.executable, str(path)],
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        env=environ,
    )
    os.close(end)
    signal.alarm(int(LIMIT_S))
    shown = b""
    try:
        while True:
            try:
                shown += os.read(terminal, 1000)
            except OSError:  # the program has ended
                break
            if typed and shown.endswith(b"? "):
                os.write(terminal, typed.pop(0))
    finally:
        signal.alarm(0)
        os.close(terminal)
        assert child.wait(LIMIT_S) == 0, shown
    return shown.replace(b"\r\n", b"\n")


def test_others_run_while_the_user_types(tmp_path: Path) -> None:
    program = """
print([input("name? ")])
print([input("? ")], sys.stdin.readline() == "third" + chr(10))
before = turns
try:
    with fibril.Timeout(0.2):
        input("late? ")
except fibril.Timeout:
    print(chr(10) + "late", turns > before + 10)
try:
    input("end? ")
except EOFError:
    print("EOF")
"""
    shown = at_a_terminal(tmp_path, program, [b"J\xc3\xbcrgen\n", b"second\nthird\n", b"", b"\x04"])
    assert "['Jürgen']\n" in shown.decode()
    for line in (b"['second'] True\n", b"late True\n", b"EOF\n"):
        assert line in shown
    assert b"has kept" not in shown


def test_control_c_ends_a_prompt(tmp_path: Path) -> None:
    program = """
try:
    input("? ")
except KeyboardInterrupt:
    print("interrupted")
"""
    assert b"interrupted\n" in at_a_terminal(tmp_path, program, [b"\x03"])


@pytest.mark.parametrize("opened", ["/dev/tty", "sys.stdin.fileno()"])
def test_the_terminal_may_be_opened_by_name(tmp_path: Path, opened: str) -> None:
    name = repr(opened) if opened.startswith("/") else opened
    program = f"""
before = turns
print("? ", end="", flush=True)
with open({name}, closefd={opened.startswith("/")}) as file:
    print([file.readline()], file.isatty())
"""
    assert rb"['hello\n'] True" in at_a_terminal(tmp_path, program, [b"hello\n"])
