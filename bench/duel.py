"""A server on one core under a C client on another: what the benchmarks of sockets have in common.

Of the window, the time that server and client stood ready without a core tells how much the
neighbours disturbed. Alone they have 1 or 2 %; with a compiler next door 50 to 70 %, and a third of
the messages. Such a sample is retaken, and left out if it stays so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from contest import Metric, Sample

HERE = Path(__file__).parent
STARVED_PERCENT_MAX = 10
ATTEMPTS = 2

SERVER_METRICS = (
    Metric("server_busy_percent", "server busy, %", is_compared=False),
    Metric("starved_percent", "starved, %", digits=1, is_compared=False),
)


def cores() -> tuple[int, int]:
    """One core for the server, another for the client."""
    own = sorted(os.sched_getaffinity(0))
    if len(own) < 2:
        raise SystemExit("cannot run this benchmark on one core: the client spins on its own")
    return own[0], own[-1]


def program(name: str, *words: str) -> list[str]:
    """The command of a server of ours."""
    return [sys.executable, str(HERE / name), *words]


@contextmanager
def server_of(command: Sequence[str], core: int) -> Iterator[tuple[str, int]]:
    """A running server on its core: where it listens, and its process id."""
    os.sched_setaffinity(0, {core})  # children inherit it
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        where = server.stdout.readline().strip()
        if not where:
            raise SystemExit(server.wait() or 1)  # it has said why on stderr
        yield where, server.pid
    finally:
        server.kill()
        server.wait()
        if where.startswith("/"):
            Path(where).unlink(missing_ok=True)


def is_disturbed(sample: Sample) -> bool:
    return sample["starved_percent"] > STARVED_PERCENT_MAX


def steady(server: Sequence[str], client: Callable[[str, int], Sequence[object]]) -> Sample:
    """The first sample that the neighbours left alone, or else the least disturbed one.

    client(where, pid): the client's command.
    """
    samples: list[Sample] = []
    pair = cores()  # before this process is pinned
    while len(samples) < ATTEMPTS:
        samples.append(play(server, client, pair))
        if not is_disturbed(samples[-1]):
            break
    return min(samples, key=lambda sample: sample["starved_percent"])


def play(
    server: Sequence[str],
    client: Callable[[str, int], Sequence[object]],
    cores: tuple[int, int],
) -> Sample:
    """A sample: the client's figures against a fresh server."""
    with server_of(server, cores[0]) as (where, pid):
        command = [str(word) for word in client(where, pid)]
        os.sched_setaffinity(0, {cores[1]})
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode:
        raise SystemExit(answer.returncode)
    figures: dict[str, float] = json.loads(answer.stdout)
    return figures
