"""Each line of README's table "Use it" does what it says, as it stands there.

The code of a line is run with the names below, in a program of its own; a command in a shell. What
the line promises is then checked. A line without an entry here fails, and an entry without a line.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PACKAGE_PARENT, Interpreter

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
TABLE = README.partition("## Use it")[2].partition("\n## ")[0]
LINES = {
    want.strip(): re.findall(r"`([^`]+)`", code)
    for want, code in re.findall(r"^\| ([^|]+) \| (.+) \|$", TABLE, re.MULTILINE)
    if "`" in code
}

STARTS_A_CHILD = """
import gevent, greenlet, fibril, subprocess, sys
print(gevent.spawn is fibril.spawn, greenlet.greenlet)
child = "import greenlet, fibril; assert greenlet.greenlet is fibril.Fiber"
subprocess.run([sys.executable, "-c", child], check=True)
"""

# What "you want" → a program, and what it prints when the command runs it.
COMMANDS = {
    "run a program with the standard library patched": (
        "import time, fibril.time; print(time.sleep is fibril.time.sleep)",
        "True\n",
    ),
    "run a program that imports gevent or greenlet, and every Python that it starts": (
        STARTS_A_CHILD,
        "True <class 'greenlet.greenlet'>\n",
    ),
    "run a program that imports eventlet": (
        "import eventlet, fibril; print(eventlet.getcurrent is fibril.getcurrent)",
        "True\n",
    ),
    "the same, whoever starts it, as gunicorn, celery and locust do": (
        "import gevent, fibril; print(gevent.spawn is fibril.spawn)",
        "True\n",
    ),
    "the real gevent on fibril's fibers": (
        "import greenlet, fibril; print(greenlet.greenlet is fibril.Fiber)",
        "True\n",
    ),
    "see what of a program blocks all its tasks, by module and line": (
        "import time",
        "nothing blocks its tasks\n",
    ),
    "the same without the command on your PATH": (
        "import time, fibril.time; print(time.sleep is fibril.time.sleep)",
        "True\n",
    ),
}
INCLUDE = "compile an extension for greenlet's C interface"

# What the code of the other lines may use.
NAMES = """
    import hashlib, io, signal, sys
    import fibril, fibril.event, fibril.testing
    from fibril import monkey
    shown = []
    def fn(*args, **kwargs): return shown.append(args) or "result"
    def fetch(address): return f"page of {address}"
    def handler(number, frame): fibril.sleep(0); shown.append(number)
    class Server:
        def stop(self, timeout=None): shown.append("stopped")
    def handle(client, address): client.sendall(b"handled")
    def application(environ, start_response): start_response("200 OK", []); return [b"hello"]
    address = ("127.0.0.1", 0)
    args, value, addresses, server = (1, 2), 7, ["a", "b"], Server()
    file = io.BytesIO(b"bytes")
    call = lambda module: None
    tasks = [fibril.spawn(fn, number) for number in range(3)]
    task = fibril.spawn(fibril.sleep, 60)
    result = None
"""

# What "you want" → what is true afterwards, of `result` (the last value) or of what was changed.
CHECKS = {
    "patch by hand, first thing in your program": "monkey.is_module_patched('threading')",
    "leave a module as it is": "'module' in monkey.kept.all_kept()",
    "be told of the patch, of a blocked loop, of too much memory": (
        "monkey.patch_time() and type(shown[0][0]).__name__ == 'GeventWillPatchModuleEvent'"
    ),
    "call a driver in C that waits": "result is None",
    "start something, wait for it": "result == 'result' and (1, 2) in shown",
    "wait for many, or for everything": "all(each.dead for each in tasks)",
    "do something at a signal": (
        "signal.raise_signal(signal.SIGTERM) is None and signal.SIGTERM in shown"
    ),
    "the same, in a task of its own": (
        "signal.raise_signal(signal.SIGTERM) or fibril.sleep(0.01) or 'stopped' in shown"
    ),
    "take what is ready first": "task in tasks and all(each.dead for each in tasks)",
    "stop something": "task.dead",
    "bound the time of anything": "True",
    "hand work over": "isinstance(result, fibril.event.AsyncResult)",
    "run no more than so many at once": "result == ['page of a', 'page of b']",
    "serve connections (TCP, Unix sockets, TLS), a hundred at once": "result is None",
    "serve a WSGI application by HTTP (`pip install 'fibril[wsgi]'`)": "result is None",
    "end that, but let handlers finish": "'stopped' in shown",
    "look into a running program, by telnet or the like": "result is None",
    "call what blocks, on a native thread": (
        "result.hexdigest() == hashlib.sha256(b'bytes').hexdigest()"
    ),
    "give C code that recurses deeply more stack than a thread's 8 MiB": (
        "result.stack_size >= 64 << 20"
    ),
    "see what a program does now": "True",
    "call C code that must be on the thread's own stack": "result == 'result'",
    "call a C library that tells calls apart by thread": "True",
    "call a Rust library that grows its stack": "True",
    "keep others out": "isinstance(result, fibril.lock.RLock)",
    "switch by hand": "result == 'result' and (7,) in shown",
    "test what takes an hour in no time": "True",
    "test what must let others run, or must not": "True",
}
# These blocks stand for what is in them: the body that each needs to do what the line says.
BODIES = {
    "with fibril.Timeout(2): ...": "with fibril.Timeout(2): fibril.sleep(0)",
    "with fibril.testing.assert_switches(): ...": (
        "with fibril.testing.assert_switches(): fibril.sleep(0)"
    ),
}
# A simulated world begins where nobody sleeps; wait() is for everything, and would wait for it.
WITHOUT_SLEEPER = {"test what takes an hour in no time", "wait for many, or for everything"}


def statement(code: str) -> str:
    code = BODIES.get(code, code)
    is_expression = not re.match(r"(with|for|from|import)\b|\w+ = ", code)
    return f"result = {code}" if is_expression else code


def test_every_line_is_here_and_no_other() -> None:
    assert set(LINES) == {*COMMANDS, INCLUDE, *CHECKS}


@pytest.mark.parametrize("want", CHECKS)
def test_the_code_does_what_the_line_says(want: str, interpreter: Interpreter) -> None:
    codes = [code for code in LINES[want] if not code.startswith("FIBRIL_")]
    before = "    task.kill()\n" if want in WITHOUT_SLEEPER else ""
    lines = "".join(f"    {statement(code)}\n" for code in codes)
    done = interpreter.run(f"{NAMES}{before}{lines}    print(bool({CHECKS[want]}))\n")
    assert (done.status, done.out) == (0, "True\n"), done.err


def shell(command: str, folder: Path) -> str:
    """Its output, where `fibril` and `python` are those that run the tests."""
    bins = f"{Path(sys.executable).parent}:{Path(sys.executable).resolve().parent}"
    (folder / "python").symlink_to(sys.executable)
    (folder / "fibril").write_text('#!/bin/sh\nexec python -m fibril "$@"\n', encoding="utf-8")
    (folder / "fibril").chmod(0o755)
    environ = {**os.environ, "PATH": f"{folder}:{bins}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**environ, "PYTHONPATH": PACKAGE_PARENT},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("want", COMMANDS)
def test_the_command_does_what_the_line_says(want: str, tmp_path: Path) -> None:
    program, expected = COMMANDS[want]
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    [command] = LINES[want]
    command = command.replace("PYTHONPATH=shims", f"PYTHONPATH=shims:{PACKAGE_PARENT}")
    assert shell(command, tmp_path).endswith(expected)


def test_the_folder_of_greenlets_header_is_told(tmp_path: Path) -> None:
    [option] = LINES[INCLUDE]
    told = shell(f"echo {option}", tmp_path).strip()
    assert (Path(told.removeprefix("-I")) / "greenlet" / "greenlet.h").exists()


def test_the_size_of_all_stacks_is_set_by_the_environment(interpreter: Interpreter) -> None:
    [setting] = [
        code for codes in LINES.values() for code in codes if code.startswith("FIBRIL_STACK")
    ]
    name, _, size = setting.partition("=")
    out = interpreter.out("import fibril; print(fibril.stack_size() >> 20)", **{name: size})
    assert out == "64\n"
