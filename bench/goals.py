"""What fibril promises, as a table: each line a ratio that a run confirms or refutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contest import Contest
from rounds import Case
from summary import FIBRIL, gain, rows_of
from table import in_figures, render


@dataclass(frozen=True)
class Goal:
    """fibril's first metric in a case must be `times` better than the rival's."""

    promise: str
    contest: str
    case: str
    rival: str
    times: float


STDLIB = "standard library (limit)"

GOALS = (
    Goal("switch ≤ 1/8 of greenlet's", "switch", "no argument", "greenlet", 8),
    Goal("the same with an argument", "switch", "one argument", "greenlet", 8),
    Goal("switch no slower than `__next__`", "switch", "no argument", "generator", 1),
    Goal("switch with an argument than `send`", "switch", "one argument", "generator", 1),
    Goal("create + run + finish ≤ 1/15 of greenlet's", "create", "one fiber", "greenlet", 15),
    Goal("sleep(0) ≤ 1/10 of gevent's", "sleep", "one task", "gevent", 10),
    Goal("sleep(0) ≤ 1/5 of uvloop's", "sleep", "one task", "uvloop", 5),
    Goal("spawn + join ≤ 1/15 of gevent's", "spawn", "one by one", "gevent", 15),
    Goal("spawn + join ≤ 1/6 of asyncio's", "spawn", "1,000 at once, per task", "asyncio", 6),
    Goal("Queue(3) ≤ 1/6 of gevent's", "queue", "one item, put and get", "gevent", 6),
    *(
        Goal(f"{case} ≤ threading's", "lock", case, "threading", 1)
        for case in (
            "semaphore, acquire and release",
            "semaphore, with block",
            "bounded semaphore, acquire and release",
            "lock, acquire and release",
            "lock, with block",
            "RLock, acquire and release",
            "RLock, with block",
            "event, set, wait and clear",
        )
    ),
    Goal("a local's value, read ≤ threading's", "local", "read", "threading", 1),
    Goal("a local's value, set ≤ threading's", "local", "set", "threading", 1),
    Goal("with Timeout ≤ 1/6 of gevent's", "timeout", "an empty block", "gevent", 6),
    Goal("a million asleep ≤ 1/5 of gevent's", "million", "in sleep()", "gevent", 5),
    Goal("the same in queue.get()", "million", "in queue.get()", "gevent", 5),
    *(
        Goal(f"{case} ≤ 1.5 times of 10,000", "waiters", case, "fibril, of 10,000", 1 / 1.5)
        for case in ("100,000 wait, served", "100,000 wait, in vain")
    ),
    *(
        Goal(f"{case} ≤ 1.3 of the standard library's", "process", case, STDLIB, 1 / 1.3)
        for case in ("start and wait", "start and wait, 1.5 GB heap")
    ),
    *(
        Goal(f"{case}, no slower than {rival}", "process", case, rival, 1)
        for case in ("to a task and back", "to a process and back")
        for rival in ("gevent", "asyncio")
    ),
    Goal("echo, 64 connections, ≥ 2.2 times gevent", "echo", "64 connections", "gevent", 2.2),
    *(
        Goal(f"echo, {case}, ≥ {times} times {rival}", "echo", case, rival, times)
        for case in ("64 connections", "1,000 connections")
        for rival, times in (("C epoll (limit)", 0.95), ("uvloop protocol", 1))
    ),
    Goal("echo, 1 connection, ≥ gevent's", "echo", "1 connection", "gevent", 1),
    Goal("TLS echo ≥ 2 times gevent's", "wires", "TLS, 64", "gevent", 2),
    Goal("TLS echo ≥ uvloop's", "wires", "TLS, 64", "uvloop protocol", 1),
    Goal("pages ≥ 10 times gevent's", "wsgi", "64 connections", "gevent", 10),
    Goal("pages ≥ uvicorn's", "wsgi", "64 connections", "uvicorn", 1),
    Goal("accept + close ≥ 2 times gevent's", "accept", "64 at once", "gevent", 2),
)

Turns = Mapping[str, Mapping[str, Case]]  # contest → case → contender → turns


def table_of_goals(contests: Mapping[str, Contest], turns: Turns) -> str:
    """Every goal whose contest has been run, met or missed."""
    lines = [_line(goal, contests[goal.contest], turns) for goal in GOALS if goal.contest in turns]
    return render(["goal", "wanted", "measured", ""], lines) if lines else ""


def _line(goal: Goal, contest: Contest, turns: Turns) -> list[str]:
    metric = contest.metrics[0]
    rows = {row.contender: row for row in rows_of(turns[goal.contest][goal.case], contest.metrics)}
    wanted = f"{goal.times:g} times"
    if metric.key not in rows[goal.rival].ratios:
        return [goal.promise, wanted, "-", "**not measured**"]
    times = gain(rows[goal.rival].ratios[metric.key], metric)
    verdict = "met" if times >= goal.times else "**missed**"
    if not (rows[FIBRIL].calm and rows[goal.rival].calm):
        verdict += ", on a busy machine"
    return [goal.promise, wanted, f"{in_figures(times)} times", verdict]
