"""Echo over other wires than TCP: TLS, AF_UNIX and UDP, with one and with 64 connections.

The client is the one of bench_echo; for TLS it is built with the system's OpenSSL, and the keys are
of the P-256 curve. Handshakes come before what is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import contest
import duel
from bench_echo import MESSAGES_MAX, METRICS
from contest import Effort, Sample
from echo_servers import SERVERS, WIRES, may_serve
from native import BUILT, build_tls_client

CONNECTIONS = (1, 64)
NAMES = {"tls": "TLS", "unix": "AF_UNIX", "udp": "UDP"}


def play(contender: str, wire: str, connections: int, effort: Effort) -> Sample:
    client = build_tls_client() if wire == "tls" else BUILT / "echo_client"
    kind = "tcp" if wire == "tls" else wire
    return duel.steady(
        duel.program("echo_servers.py", wire, contender),
        lambda where, pid: (
            *(client, kind, where, connections),
            *(effort.echo_s, MESSAGES_MAX, pid),
        ),
    )


def cases_of(contender: str) -> dict[str, Callable[[Effort], Sample]]:
    return {
        f"{NAMES[wire]}, {count}": partial(play, contender, wire, count)
        for wire in WIRES
        if wire in NAMES and may_serve(contender, wire)
        for count in CONNECTIONS
    }


CONTEST = contest.Contest(
    name="wires",
    title="Echo over TLS, AF_UNIX and UDP",
    how="As the echo benchmark, with one and with 64 connections (UDP: connected sockets).",
    metrics=METRICS,
    contenders={contender: cases_of(contender) for contender in SERVERS},
    is_disturbed=duel.is_disturbed,
    is_pinned=False,
)

if __name__ == "__main__":
    contest.main(CONTEST)
