"""Accept: connections per second that a server accepts and closes, 64 under way at any time."""

from __future__ import annotations

from collections.abc import Callable

import contest
import duel
from accept_servers import SERVERS
from contest import Effort, Metric, Sample
from native import BUILT

CONNECTIONS = 64


C_EPOLL = "C epoll (limit)"


def command_of(contender: str) -> list[str]:
    if contender == C_EPOLL:
        return [str(BUILT / "accept_server")]
    return duel.program("accept_servers.py", contender)


def case_of(contender: str) -> Callable[[Effort], Sample]:
    def play(effort: Effort) -> Sample:
        return duel.steady(
            command_of(contender),
            lambda port, pid: (BUILT / "connect_client", port, CONNECTIONS, effort.echo_s, pid),
        )

    return play


CONTEST = contest.Contest(
    name="accept",
    title="Accept and close",
    how="An independent C client on another core connects, 64 at once; the server closes at once.",
    metrics=(
        Metric("connections_per_s", "connections/s", is_more_better=True),
        Metric("server_cpu_us", "server CPU, µs/connection", digits=2),
        *duel.SERVER_METRICS,
    ),
    contenders={contender: {"64 at once": case_of(contender)} for contender in (*SERVERS, C_EPOLL)},
    is_disturbed=duel.is_disturbed,
    is_pinned=False,
)

if __name__ == "__main__":
    contest.main(CONTEST)
