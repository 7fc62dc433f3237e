"""Every stand-alone example runs and prints what its docstring says.

The examples import fibril itself. Under FIBRIL_TEST_RUNNER=plain they are skipped, unless something
that is importable as fibril stands in for it.
"""

import ast
import importlib.util
import json
import os
import re
import signal
import socket
import sys
import textwrap
from pathlib import Path

import pytest

from tests.programs.child import Start

PRINTING = ["fibers", "hello", "queue_pipeline", "timeouts"]
SIZES = {5: 15400, 1: 1000, 3: 4600}
SERVING = ["echo_server", "fetch_many", "stream_server"]

needs_fibril = pytest.mark.skipif(
    os.environ.get("FIBRIL_TEST_RUNNER") == "plain" and not importlib.util.find_spec("fibril"),
    reason="the examples import fibril",
)


def output_in_docstring(program: Path) -> str:
    """The indented block after the last paragraph that begins with `It prints`."""
    doc = ast.get_docstring(ast.parse(program.read_text("utf-8"))) or ""
    block = re.search(r"^It prints[^\n]*:\n\n((?:    [^\n]*\n?)+)", doc, re.MULTILINE)
    assert block, f"{program.name} does not say what it prints"
    return textwrap.dedent(block[1]).rstrip("\n") + "\n"


def test_no_example_is_without_a_test(examples: Path) -> None:
    assert sorted(path.stem for path in examples.glob("*.py")) == sorted(PRINTING + SERVING)


@needs_fibril
@pytest.mark.parametrize("name", PRINTING)
def test_example_prints_what_its_docstring_says(name: str, start: Start, examples: Path) -> None:
    program = examples / f"{name}.py"
    child = start([sys.executable, str(program)])
    assert child.rest() == output_in_docstring(program)
    assert child.finish() == 0
    assert child.errors() == ""


@needs_fibril
def test_fetch_many_prints_the_pages_in_the_order_of_the_addresses(
    start: Start, examples: Path
) -> None:
    pytest.importorskip("requests")
    server = start([sys.executable, str(examples / "demo" / "page_server.py"), "--latency", "0.1"])
    port = json.loads(server.line())["port"]
    urls = [f"http://127.0.0.1:{port}/page/{page}" for page in (5, 1, 3)]
    child = start([sys.executable, str(examples / "fetch_many.py"), *urls])
    assert [line.split(maxsplit=3) for line in child.rest().splitlines()] == [
        ["200", size, "bytes", url]
        for size, url in zip(("15400", "1000", "4600"), urls, strict=True)
    ]
    assert child.finish() == 0
    assert child.errors() == ""
    assert server.finish() == 0
    assert json.loads(server.line()) == {"served": 3, "peak": 3}


@needs_fibril
def test_echo_server_serves_two_at_once_and_ends_with_ctrl_c(start: Start, examples: Path) -> None:
    server = start([sys.executable, str(examples / "echo_server.py"), "0"])
    address, _, port = server.line().removeprefix("listening on ").rpartition(":")
    with (
        socket.create_connection((address, int(port)), timeout=5) as first,
        socket.create_connection((address, int(port)), timeout=5) as second,
    ):
        for connection, text in ((second, b"two"), (first, b"one")):
            connection.sendall(text)
            assert connection.recv(100) == text
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100) == b""
    server.process.send_signal(signal.SIGINT)
    assert server.rest() == "ended\n"
    assert server.finish() == 0
    assert server.errors() == ""
