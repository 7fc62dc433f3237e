"""Echo: a server of 64-byte messages, under a C client, with 1, 64 and 1,000 connections.

The server has one core and the client another. Messages per second say how fast the pair is; the
server's CPU per message says what the server costs, and is the steadier figure: it is read from the
process's CPU clock by the client. `server busy` tells whether the server was what was measured
(near 100 %), or the way there and back (one connection). There, a server that is fast enough to go
to sleep before the next message pays for being woken, some 7 us; a slow one never sleeps, and does
not pay.
"""

from __future__ import annotations

from collections.abc import Callable

import contest
import duel
from contest import Effort, Metric, Sample
from echo_servers import SERVERS
from native import BUILT

MESSAGES_MAX = 100_000_000
CONNECTIONS = (1, 64, 1000)
C_EPOLL = "C epoll (limit)"

METRICS = (
    Metric("messages_per_s", "messages/s", is_more_better=True),
    Metric("server_cpu_us", "server CPU, µs/message", digits=2),
    Metric("p50_us", "p50, µs", is_compared=False),
    Metric("p99_us", "p99, µs", is_compared=False),
    *duel.SERVER_METRICS,
)


def command_of(contender: str) -> list[str]:
    if contender == C_EPOLL:
        return [str(BUILT / "echo_server")]
    return duel.program("echo_servers.py", "tcp", contender)


def cases_of(contender: str) -> dict[str, Callable[[Effort], Sample]]:
    def case(connections: int) -> Callable[[Effort], Sample]:
        def play(effort: Effort) -> Sample:
            return duel.steady(
                command_of(contender),
                lambda port, pid: (
                    *(BUILT / "echo_client", "tcp", port, connections),
                    *(effort.echo_s, MESSAGES_MAX, pid),
                ),
            )

        return play

    return {f"{count:,} connection{'s' * (count > 1)}": case(count) for count in CONNECTIONS}


CONTEST = contest.Contest(
    name="echo",
    title="Echo of 64-byte messages",
    how="Ping-pong from an independent C client on another core; the server has one core.",
    metrics=METRICS,
    contenders={contender: cases_of(contender) for contender in (*SERVERS, C_EPOLL)},
    is_disturbed=duel.is_disturbed,
    is_pinned=False,
)

if __name__ == "__main__":
    contest.main(CONTEST)
