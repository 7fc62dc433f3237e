"""Seed program 2: twenty HTTPS requests at once with unmodified `requests`.

www.baidu.com is a server of ours on this machine that takes 0.3 s for each answer, with a
certificate of a CA made for the test. Times are compared with one plain request of the same run,
never with a number of seconds.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.programs.child import Child, Start

trustme = pytest.importorskip("trustme")
pytest.importorskip("requests")

HOST = "www.baidu.com"
TASKS = 20
ONE_REQUEST = f"""
import requests
print("start")
requests.get("https://{HOST}")
print("end")
"""


class Server(NamedTuple):
    """Our www.baidu.com, and the port that it reported."""

    child: Child
    port: int


@pytest.fixture
def server(start: Start, examples: Path, tmp_path: Path) -> Server:
    """The HTTPS server, ready for connections."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert(HOST)
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    program = str(examples / "demo" / "page_server.py")
    child = start([sys.executable, program, "--latency", "0.3", "--tls", f"{tmp_path}/server.pem"])
    return Server(child, json.loads(child.line())["port"])


@pytest.fixture
def world(server: Server, tmp_path: Path) -> dict[str, str]:
    """The environment in which the host's name means our server and our CA is trusted."""
    return {
        "FIBRIL_TEST_HOST": f"{HOST}=127.0.0.1:{server.port}",
        "REQUESTS_CA_BUNDLE": f"{tmp_path}/ca.pem",
    }


def timed_lines(child: Child, count: int) -> tuple[list[str], float]:
    """The next `count` lines, and the seconds from the first of them to the last."""
    lines = [child.line()]
    begin = time.monotonic()
    lines += child.lines(count - 1)
    return lines, time.monotonic() - begin


def test_twenty_requests_overlap_and_take_less_than_four_single_ones(
    start: Start,
    run_under: list[str],
    examples: Path,
    server: Server,
    world: dict[str, str],
) -> None:
    single = start([sys.executable, "-c", ONE_REQUEST], **world)
    _, single_s = timed_lines(single, 2)
    assert single.finish() == 0

    child = start([*run_under, str(examples / "seed" / "2_gevent_requests.py")], **world)
    lines, all_s = timed_lines(child, 2 * TASKS)
    assert lines == ["start"] * TASKS + ["end"] * TASKS
    assert child.rest() == ""
    assert child.finish() == 0
    if (
        "FIBRIL_SANITIZER" not in os.environ
    ):  # there the handshakes' computation outweighs the waits
        assert all_s <= 4 * single_s, (
            f"{TASKS} requests took {all_s:.2f} s, one alone {single_s:.2f} s"
        )

    assert server.child.finish() == 0
    assert json.loads(server.child.line()) == {"served": TASKS + 1, "peak": TASKS}
