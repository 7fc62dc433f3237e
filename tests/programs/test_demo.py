"""The demo, with less of everything: on a pipe, on a terminal, and when it is interrupted.

A terminal is a pseudo-terminal of 80 columns and 24 lines, the smallest that the demo draws on.
What is compared are the figures at the end and the control characters, not the drawing.
"""

import fcntl
import importlib.util
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.programs.child import LIMIT_S, Start, child_env

pytest.importorskip("requests")
pytestmark = pytest.mark.skipif(
    os.environ.get("FIBRIL_TEST_RUNNER") == "plain" and not importlib.util.find_spec("fibril"),
    reason="the demo imports fibril",
)

LITTLE = ["--pages=5", "--latency=0.1", "--connections=50", "--seconds=0.2"]
LEAST = ["--pages=2", "--latency=0", "--connections=2", "--seconds=0.1"]
FIGURES = [
    r"5 pages one after another +0\.\d\d s",
    r"5 pages with fibril +0\.\d\d s",
    r"speed-up +\d+\.\d times",
    r"pages on their way at once +5",
    r"echo connections, a task each +50",
    r"messages echoed +[\d,]+, none lost",
    r"messages per second +[\d,]+",
    r"processor time of the server +[\d.]+ us a message",
    r"memory of the echo server +[\d.]+ MB, [\d.]+ kB a connection",
]


@pytest.fixture
def demo(examples: Path) -> list[str]:
    return [sys.executable, str(examples / "demo" / "demo.py")]


def output_on_terminal(command: list[str], **changes: str) -> str:
    """What a command writes to a terminal of 80 columns and 24 lines; it must end with code 0."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = child_env(TERM="xterm", **changes)
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        output = b""
        try:
            while data := os.read(ours, 1 << 16):
                output += data
        except OSError:  # how Linux says that the other side of a terminal is closed
            pass
        os.close(ours)
        assert process.wait(LIMIT_S) == 0, output.decode()
    return output.decode()


def children_of(pid: int) -> set[int]:
    """The processes that a process has started and not yet waited for."""
    return set(
        map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split())
    )


def test_without_a_terminal_it_prints_plain_lines_and_all_figures(
    start: Start, demo: list[str]
) -> None:
    child = start([*demo, *LITTLE])
    output = child.rest()
    assert child.finish() == 0, child.errors()
    assert child.errors() == ""
    assert re.sub(r"[ -~\n]", "", output) == ""
    for figure in FIGURES:
        assert re.search(figure, output), f"{figure} is not in\n{output}"


def test_on_a_terminal_it_draws_and_ends_with_all_figures(demo: list[str]) -> None:
    pytest.importorskip("rich")
    output = output_on_terminal([*demo, *LITTLE])
    assert "\x1b[" in output
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") > 0, "the cursor stays hidden"
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    for figure in FIGURES:
        assert re.search(figure, text), f"{figure} is not in\n{text}"


def test_no_color_leaves_out_the_colours(demo: list[str]) -> None:
    pytest.importorskip("rich")
    output = output_on_terminal([*demo, *LEAST], NO_COLOR="1")
    styles = set(";".join(re.findall(r"\x1b\[([0-9;]*)m", output)).split(";"))
    assert styles <= {"", "0", "1", "2"}, "only bold and dim may stay"


def test_a_dumb_terminal_gets_plain_lines(demo: list[str]) -> None:
    output = output_on_terminal(["env", "TERM=dumb", *demo, *LEAST])
    assert "\x1b" not in output


def test_ctrl_c_ends_the_demo_and_its_children(start: Start, demo: list[str]) -> None:
    child = start(demo)
    child.lines(3)
    started = children_of(child.process.pid)
    assert len(started) == 2, "the web server and the program that fetches"
    child.process.send_signal(signal.SIGINT)
    child.rest()
    assert child.finish() == 128 + signal.SIGINT
    assert child.errors() == "\nended by Ctrl-C\n"
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
