"""The watchdog at a terminal: who waits for its user to type is not told of, who is stuck is."""

import importlib.util
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LIMIT_S, PACKAGE_PARENT

BLOCKING_LIMIT_S = 0.15
TOLD = "has kept its thread"

BEGIN = """
import sys, time, fibril
from fibril.hub import set_blocking_limit
set_blocking_limit(0)
"""
# Somebody could run as long as the user thinks: the watchdog has a reason to speak. It has it from
# the first prompt on only: what is loaded for that takes its time on a busy machine.
WATCH = f"set_blocking_limit({BLOCKING_LIMIT_S}); task = fibril.spawn(int); print(7 * 6)"
STUCK = "time.sleep(60)"  # the original: nothing is patched here


class Terminal:
    """A Python at a terminal of its own, and the user who types there."""

    def __init__(self, folder: Path, *arguments: str, is_basic: bool = False) -> None:
        self.master, slave = pty.openpty()
        env = {**os.environ, "PYTHONPATH": PACKAGE_PARENT, "TERM": "xterm", "HOME": str(folder)}
        env.pop("PYTHON_BASIC_REPL", None)
        if is_basic:
            env["PYTHON_BASIC_REPL"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=slave, stdout=slave, stderr=slave, env=env, cwd=folder, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.shown = ""

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], max(seconds, 0))[0]:
            return False
        self.shown += os.read(self.master, 65536).decode(errors="replace")
        return True

    def wait_for(self, text: str) -> None:
        """Read until the text is there; what was shown up to its end is done with."""
        deadline = time.monotonic() + LIMIT_S
        while text not in self.shown:
            if not self._read(deadline - time.monotonic()):
                pytest.fail(f"{text!r} is not shown. This is:\n{self.shown}")
        self.shown = self.shown.partition(text)[2]

    def think(self) -> None:
        """Look at the screen for as long as the watchdog needs to speak several times over."""
        deadline = time.monotonic() + 4 * BLOCKING_LIMIT_S
        while self._read(deadline - time.monotonic()):
            pass
        assert TOLD not in self.shown, self.shown

    def type(self, line: str) -> None:
        os.write(self.master, line.encode() + b"\r")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "begin.py").write_text(BEGIN, encoding="utf-8")
    return tmp_path


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


PROMPTS = {
    "input": ("while True: exec(input('say: '))", "say: "),
    "input with readline": ("import readline\nwhile True: exec(input('say: '))", "say: "),
    "readline of stdin": (
        "while True: print('say:', flush=True); exec(sys.stdin.readline())",
        "say:",
    ),
    "getpass": ("import getpass\nwhile True: exec(getpass.getpass('say: '))", "say: "),
    "breakpoint": ("breakpoint()\nfibril", "(Pdb) "),
    "code.interact": ("import code; code.interact(local=vars())", ">>> "),
    "poll": (
        (
            "import select\np = select.poll(); p.register(0, 1); p.register(2, 0)\n"
            "while True: print('say:', flush=True); p.poll(); exec(sys.stdin.readline())"
        ),
        "say:",
    ),
    "select": (
        (
            "import select\n"
            "while True: print('say:', flush=True); select.select([0], [], []); "
            "exec(sys.stdin.readline())"
        ),
        "say:",
    ),
    "asyncio": (
        (
            "import asyncio\n"
            "def read(): exec(sys.stdin.readline()); print('say:', flush=True)\n"
            "async def main():\n"
            "    asyncio.get_running_loop().add_reader(0, read)\n"
            "    print('say:', flush=True)\n"
            "    await asyncio.Event().wait()\n"
            "asyncio.run(main())"
        ),
        "say:",
    ),
}


HAS_READLINE = importlib.util.find_spec("readline") is not None


@pytest.mark.parametrize("kind", PROMPTS)
def test_a_program_that_asks_its_user_is_not_told_of(
    folder: Path, terminals: list[Terminal], kind: str
) -> None:
    program, prompt = PROMPTS[kind]
    if "readline\n" in program and not HAS_READLINE:
        pytest.skip("this Python was built without readline")
    (folder / "program.py").write_text(BEGIN + program, encoding="utf-8")
    terminal = Terminal(folder, "program.py")
    terminals.append(terminal)
    terminal.wait_for(prompt)
    terminal.type(WATCH)
    terminal.wait_for("42")
    terminal.think()
    terminal.type(STUCK)
    terminal.wait_for(TOLD)


@pytest.mark.parametrize("is_basic", [False, True])
def test_the_interactive_interpreter_is_not_told_of(
    folder: Path, terminals: list[Terminal], is_basic: bool
) -> None:
    terminal = Terminal(folder, "-q", "-i", "begin.py", is_basic=is_basic)
    terminals.append(terminal)
    terminal.wait_for(">>> ")
    terminal.type(WATCH)
    terminal.wait_for("42")
    terminal.wait_for(">>> ")
    terminal.think()
    terminal.type(STUCK)
    terminal.wait_for(TOLD)


def test_who_is_not_to_be_told_of_is_not_after_a_prompt_either(
    folder: Path, terminals: list[Terminal]
) -> None:
    program = (
        "monitor = fibril.get_hub().start_periodic_monitoring_thread()\n"
        "monitor.ignore_current_greenlet_blocking()\n"
        "while True: exec(input('say: '))"
    )
    (folder / "program.py").write_text(BEGIN + program, encoding="utf-8")
    terminal = Terminal(folder, "program.py")
    terminals.append(terminal)
    terminal.wait_for("say: ")
    terminal.type(WATCH)
    terminal.wait_for("42")
    terminal.type(STUCK)
    terminal.think()


def test_a_child_that_asks_is_not_told_of(folder: Path, terminals: list[Terminal]) -> None:
    program = (
        "import os\nif os.fork():\n    os.wait()\n    os._exit(0)\nwhile True: exec(input('say: '))"
    )
    (folder / "program.py").write_text(BEGIN + program, encoding="utf-8")
    terminal = Terminal(folder, "-W", "ignore", "program.py")
    terminals.append(terminal)
    terminal.wait_for("say: ")
    terminal.type(WATCH)
    terminal.wait_for("42")
    terminal.think()
    terminal.type(STUCK)
    terminal.wait_for(TOLD)


def test_who_waits_for_something_else_at_a_terminal_is_told_of(
    folder: Path, terminals: list[Terminal]
) -> None:
    """A terminal that is merely open is no reason for silence, nor is one to be written to."""
    program = (
        f"{WATCH}\nimport os, select\nread, write = os.pipe()\n"
        "print(select.select([read], [1], [], 0)[1])\n"
        "poller = select.epoll(); poller.register(read); poller.poll()"
    )
    (folder / "program.py").write_text(BEGIN + program, encoding="utf-8")
    terminal = Terminal(folder, "program.py")
    terminals.append(terminal)
    terminal.wait_for(TOLD)
