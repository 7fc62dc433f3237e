"""A prompt in a running program: what is typed, what is said, and whose streams are whose."""

import contextlib
import io
import logging
import os
import socket as stdlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import fibril
from fibril import socket
from fibril._io import task_streams
from fibril.backdoor import BackdoorServer
from fibril.event import Event
from tests.conftest import LIMIT_S, PACKAGE_PARENT, until
from tests.serving import LOCALHOST, descriptors

PROMPT, MORE = ">>> ", "... "
ENDS = ["exit()", "quit()", "raise SystemExit", "import sys; sys.exit(3)"]


class Client:
    """Somebody who types, and reads what is said."""

    def __init__(self, address: Any) -> None:
        self.sock = socket.create_connection(address, timeout=LIMIT_S)

    def type(self, text: str | bytes) -> None:
        self.sock.sendall(text if isinstance(text, bytes) else text.encode())

    def read(self, end: str = PROMPT) -> str:
        """What is said up to the next prompt."""
        said = b""
        while not said.endswith(end.encode()):
            data = self.sock.recv(1)
            assert data, said
            said += data
        return said.decode().removesuffix(end)

    def ask(self, line: str, end: str = PROMPT) -> str:
        self.type(f"{line}\n")
        return self.read(end)

    def rest(self) -> str:
        """All that is said until the connection ends."""
        said = b""
        while data := self.sock.recv(100):
            said += data
        return said.decode()


@contextmanager
def session(locals: dict[str, Any] | None = None, **options: Any) -> Iterator[Client]:
    with BackdoorServer(LOCALHOST, locals, banner="hello", **options) as server:
        server.start()
        client = Client(server.address)
        assert client.read() == "hello\n"
        yield client
        client.sock.close()


def test_what_is_typed_is_run_and_its_result_said(fresh: None) -> None:
    with session({"answer": 42}) as client:
        assert client.ask("answer") == "42\n"
        assert client.ask("_ + 1") == "43\n"
        assert client.ask("print('a', 'b')") == "a b\n"
        assert client.ask("None") == ""
        assert client.ask("") == ""
        assert client.ask("'é' + '\\ud800'") == "'é\\ud800'\n"
        assert client.ask("print('\\ud800')") == "\\ud800\n"


def test_the_banner_says_which_python(fresh: None) -> None:
    with BackdoorServer(LOCALHOST) as server:
        server.start()
        client = Client(server.address)
        assert client.read().startswith(f"Python {sys.version.splitlines()[0]}")
        client.sock.close()


def test_a_block_of_several_lines_is_one(fresh: None) -> None:
    with session() as client:
        assert client.ask("def double(n):", MORE) == ""
        assert client.ask("    return 2 * n", MORE) == ""
        assert client.ask("") == ""
        assert client.ask("double(21)") == "42\n"
        client.type("for n in range(2):\n    print(n)\n\nprint('end')\n")  # pasted
        assert client.read(f"end\n{PROMPT}") == f"{MORE}{MORE}0\n1\n{PROMPT}"


def test_errors_are_the_users_to_see(fresh: None, capsys: pytest.CaptureFixture[str]) -> None:
    with session() as client:
        said = client.ask("1 / 0")
        assert said.startswith("Traceback (most recent call last):\n")
        assert said.endswith("ZeroDivisionError: division by zero\n")
        assert "backdoor.py" not in said
        assert "SyntaxError" in client.ask("1 +* 2")
        assert client.ask("1") == "1\n"
    assert capsys.readouterr() == ("", "")


def test_input_and_stdin_read_what_is_typed(fresh: None) -> None:
    with session() as client:
        client.type("name = input('name? ')\nsomebody\r\n")
        assert client.read() == "name? "
        assert client.ask("name") == "'somebody'\n"
        client.type("import sys; sys.stdin.readline()\nmore\n")
        assert client.read() == "'more\\n'\n"
        assert client.ask("sys.stdin.isatty(), sys.stdout.encoding") == "(False, 'utf-8')\n"


@pytest.mark.parametrize("line", ENDS)
def test_a_session_ends_by_its_exit(fresh: None, line: str) -> None:
    with session() as client:
        client.type(f"{line}\nprint('not run')\n")
        assert client.rest() == ""


def test_a_session_ends_with_its_input(fresh: None) -> None:
    with session() as client:
        client.type("print(1)\nprint(2)")
        client.sock.shutdown(socket.SHUT_WR)
        assert client.rest() == f"1\n{PROMPT}2\n{PROMPT}"
    with session() as client:
        client.type(b"print(1)\n\x04")
        assert client.rest() == f"1\n{PROMPT}"


def test_sessions_do_not_share_names_nor_the_last_result(fresh: None) -> None:
    with BackdoorServer(LOCALHOST, {"shared": []}, banner="") as server:
        server.start()
        first, second = Client(server.address), Client(server.address)
        for client in (first, second):
            client.read()
        assert first.ask("x = 1; 'first'") == "'first'\n"
        assert second.ask("x").endswith("NameError: name 'x' is not defined\n")
        assert second.ask("'second'") == "'second'\n"
        assert first.ask("_") == "'first'\n"
        assert first.ask("__builtins__._") == "'first'\n"
        assert second.ask("_") == "'second'\n"
        assert first.ask("shared.append(x)") == ""
        assert second.ask("shared") == "[1]\n"
        assert first.ask("__builtins__") == "<module 'builtins' (built-in)>\n"
        assert first.ask("import builtins as b; builtins is b") == "True\n"
        first.sock.close()
        second.sock.close()
    assert not hasattr(__builtins__, "_")


def test_a_subclass_adds_to_the_names(fresh: None) -> None:
    class Own(BackdoorServer):
        def _create_interactive_locals(self) -> dict[str, Any]:
            names = super()._create_interactive_locals()
            names["added"] = "by a subclass"
            return names

    with Own(LOCALHOST, banner="") as server:
        server.start()
        client = Client(server.address)
        client.read()
        assert client.ask("added") == "'by a subclass'\n"
        client.sock.close()


# ---- interrupts ----


@pytest.mark.parametrize("interrupt", [b"\x03", b"\xff\xf4\xff\xfd\x06", b"\xff\xf3"])
def test_an_interrupt_reaches_what_waits_and_what_is_typed(fresh: None, interrupt: bytes) -> None:
    started = Event()
    with session({"fibril": fibril, "started": started}) as client:
        client.type("started.set(); fibril.sleep(1000)\n")
        started.wait()
        client.type(interrupt)
        assert client.read().endswith("KeyboardInterrupt\n")
        assert client.ask("if 1:", MORE) == ""
        client.type(b"  x = " + interrupt)
        assert client.read() == "\nKeyboardInterrupt\n"
        assert client.ask("2") == "2\n"


def test_telnets_commands_are_no_input(fresh: None) -> None:
    with session() as client:
        client.type(b"\xff\xfb\x181\xff\xfa\x18\x00xterm\xff\xf0\xff\xf12\xff\xfe\x22\r\0\n")
        assert client.read() == "12\n"


# ---- ends ----


def test_a_stop_ends_sessions_whatever_they_do(fresh: None) -> None:
    started = Event()
    with BackdoorServer(LOCALHOST, {"fibril": fibril, "started": started}, "") as server:
        server.start()
        clients = [Client(server.address) for _ in range(3)]
        for client in clients:
            client.read()
        clients[0].type("fibril.sleep(1000)\n")
        clients[1].type("started.set(); print('x' * 10_000_000)\n")  # who does not read
        started.wait()
        fibril.sleep(0.01)
        server.stop(timeout=0)
        assert not server.pool
        for client in clients:
            client.sock.close()


def test_who_goes_away_leaves_nothing(fresh: None) -> None:
    fibril.sleep(0.001)  # the hub has its own
    before = descriptors()
    with BackdoorServer(LOCALHOST, banner="") as server:
        server.start()
        for line in (b"", b"1", b"1\n", b"while True: print(1)\n\n"):
            client = Client(server.address)
            client.read()
            client.type(line)
            linger = b"\x01\0\0\0\0\0\0\0"  # the connection is reset
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.sock.close()
            until(lambda: not server.pool)
        assert type(sys.stdout) is not task_streams._StandIn
    fibril.sleep(0)
    assert descriptors() == before


# ---- streams ----


def test_only_the_sessions_task_has_its_streams(
    fresh: None, capsys: pytest.CaptureFixture[str]
) -> None:
    former = sys.stdin, sys.stdout, sys.stderr, sys.displayhook
    names = {"fibril": fibril}
    with session(names) as client:
        client.type("for n in range(3): print(n); fibril.sleep(0.001)\n\n")
        for n in range(3):
            print("program", n)
            fibril.sleep(0.001)
        assert client.read(f"2\n{PROMPT}").startswith(f"{MORE}0\n1\n")
        assert client.ask("fibril.spawn(print, 'of a task').join()") == ""
        assert isinstance(sys.stdout, type(former[1]))
        assert sys.stdout == former[1]
        assert repr(sys.stdout) == repr(former[1])
        assert client.ask("import sys; print('e', file=sys.stderr)") == "e\n"
    assert capsys.readouterr() == ("program 0\nprogram 1\nprogram 2\nof a task\n", "")
    until(lambda: type(sys.stdout) is not task_streams._StandIn)
    assert (sys.stdin, sys.stdout, sys.stderr, sys.displayhook) == former


def test_a_program_may_redirect_its_output_meanwhile(fresh: None) -> None:
    with session() as client:
        with contextlib.redirect_stdout(io.StringIO()) as caught:
            print("program")
            assert client.ask("print('session')") == "session\n"
            print("program")
        assert caught.getvalue() == "program\nprogram\n"
        assert client.ask("print('session')") == "session\n"
    until(lambda: type(sys.stdout) is not task_streams._StandIn)


def test_what_was_kept_meanwhile_goes_on_to_the_program(
    fresh: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with session():
        handler = logging.StreamHandler(sys.stderr)
    handler.emit(logging.makeLogRecord({"msg": "after the session"}))
    assert capsys.readouterr().err == "after the session\n"


def test_a_program_without_streams_is_as_before(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with session() as client:
        print("nowhere")
        assert client.ask("print(1)") == "1\n"
    until(lambda: type(sys.stdout) is not task_streams._StandIn)
    assert sys.stdout is None


# ---- the command ----


@pytest.mark.parametrize("module", ["fibril.backdoor", "gevent.backdoor"])
def test_the_module_is_a_program(module: str) -> None:
    run = "import runpy; runpy.run_module({!r}, run_name='__main__', alter_sys=True)"
    start = "from fibril import compat; compat.install(); " if module.startswith("g") else ""
    with stdlib.create_server(LOCALHOST) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", start + run.format(module), str(port), "welcome"]
    env = {**os.environ, "PYTHONPATH": PACKAGE_PARENT}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as program:
        client = wait_for_client(port)
        assert client.read() == "welcome\n"
        assert client.ask("hello") == "'world'\n"
        client.sock.close()
        program.send_signal(2)
        assert program.communicate(timeout=LIMIT_S)[1] == ""
        assert program.returncode == 0


def wait_for_client(port: int) -> Client:
    for _ in range(1000):
        try:
            return Client(("127.0.0.1", port))
        except ConnectionRefusedError:
            fibril.sleep(0.01)
    pytest.fail("nobody listens")


def test_the_command_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fibril.backdoor", "no-port"],
        env={**os.environ, "PYTHONPATH": PACKAGE_PARENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "usage: python -m fibril.backdoor PORT [BANNER]\n")
