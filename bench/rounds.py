"""Runs a contest: rounds in which every contender has its turn, each turn a fresh process.

Round-robin, case by case (fibril, rival, rival, limit, fibril, rival, …), so that whatever else the
machine does hits all alike, and a ratio compares turns that were seconds apart. A turn that fails
is kept as an error with its last line of stderr; it never becomes a gap that nobody sees.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from itertools import product
from pathlib import Path
from typing import Any

from contest import Contest, effort_of
from machine import ROOT

HERE = Path(__file__).parent
PATIENCE_S = 120

# What one turn gives: {"error": …}, or {"sample": …, "is_disturbed": …}. A case: contender → turns.
Turn = dict[str, Any]
Case = dict[str, list[Turn]]


def run(contest: Contest, is_quick: bool, absent: Collection[str] = ()) -> dict[str, Case]:
    """All rounds of all cases. Those who are absent get an error, not a turn."""
    cases = contest.cases()
    turns: dict[str, Case] = {case: _line_up(contest, case, absent) for case in cases}
    rounds = min(effort_of(is_quick).rounds, contest.rounds_max)
    for number, case in product(range(rounds), cases):
        print(f"  {contest.name}, {case}: round {number + 1} of {rounds}", file=sys.stderr)
        for contender in (name for name in turns[case] if name not in absent):
            turns[case][contender].append(_turn(contest, contender, case, is_quick))
    return turns


def _line_up(contest: Contest, case: str, absent: Collection[str]) -> Case:
    """Everybody who offers the case; the absent have their only turn behind them."""
    names = [name for name, offer in contest.contenders.items() if case in offer]
    return {name: [{"error": "not installed"}] if name in absent else [] for name in names}


def _turn(contest: Contest, contender: str, case: str, is_quick: bool) -> Turn:
    """One contender's turn. Its process group dies with it, so no server is left behind."""
    program = [sys.executable, str(HERE / f"bench_{contest.name}.py"), contender, case]
    child = subprocess.Popen(
        [*program, *["--quick"] * is_quick],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        answer, complaint = child.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return {"error": f"no result in {PATIENCE_S} seconds"}
    finally:
        _end_group(child)
    if child.returncode:
        return {"error": _last_line(complaint) or f"ended with status {child.returncode}"}
    sample = json.loads(answer)
    return {"sample": sample, "is_disturbed": contest.is_disturbed(sample)}


def _end_group(child: subprocess.Popen[str]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all of it has ended by itself
    child.wait()


def _last_line(complaint: str) -> str:
    lines = complaint.strip().splitlines()
    return lines[-1].replace(str(ROOT), ".") if lines else ""
