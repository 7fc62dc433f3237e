"""WSGI: a page that says hello, under a C client, with 1 and 64 connections that are kept.

The server has one core and the client another, as in bench_echo.py, with the same figures. The
request has one field, the answer two of the application's. With one connection gevent's answers
wait for the client's delayed ACK, 40 ms: it sends the head and the body one by one.
"""

from __future__ import annotations

from collections.abc import Callable

import contest
import duel
from contest import Effort, Metric, Sample
from http_servers import SERVERS
from native import BUILT

CONNECTIONS = (1, 64)


def case_of(contender: str, connections: int) -> Callable[[Effort], Sample]:
    def play(effort: Effort) -> Sample:
        return duel.steady(
            duel.program("http_servers.py", contender),
            lambda port, pid: (BUILT / "http_client", port, connections, effort.echo_s, pid),
        )

    return play


def cases_of(contender: str) -> dict[str, Callable[[Effort], Sample]]:
    return {
        f"{count} connection{'s' * (count > 1)}": case_of(contender, count) for count in CONNECTIONS
    }


CONTEST = contest.Contest(
    name="wsgi",
    title="A page by HTTP",
    how="An independent C client on another core asks again and again; the server has one core.",
    metrics=(
        Metric("requests_per_s", "requests/s", is_more_better=True),
        Metric("server_cpu_us", "server CPU, µs/request", digits=2),
        Metric("p50_us", "p50, µs", is_compared=False),
        Metric("p99_us", "p99, µs", is_compared=False),
        *duel.SERVER_METRICS,
    ),
    contenders={contender: cases_of(contender) for contender in SERVERS},
    is_disturbed=duel.is_disturbed,
    is_pinned=False,
)

if __name__ == "__main__":
    contest.main(CONTEST)
