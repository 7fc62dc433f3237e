"""What a run leaves behind: one JSON document per benchmark, and RESULTS.md made of them.

The JSON has everything, raw turns included. RESULTS.md is written from the documents of full runs,
never from memory, so it can be made anew from part of the benchmarks: each section says
of which Python, size of stacks, date and commit its own document is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import machine
import rivals
from contest import Contest
from goals import table_of_goals
from native import BUILT
from summary import rows_of
from table import table_of

RESULTS = Path(__file__).with_name("RESULTS.md")

HEAD = """\
# Benchmarks

Written by `bench/run.py --write`; do not edit. Each figure is the median of the rounds, each ratio
the median of the ratios within a round. In a round the contenders take turns, each in a fresh
process. Times of single operations are CPU times with the garbage collector on. Rounds that the
machine's other work disturbed are left out, if there are others. "fibril = 1": the figure divided
by fibril's.
"""

Document = dict[str, Any]


def document(contest: Contest, turns: Mapping[str, Any], is_quick: bool, load: float) -> Document:
    """Everything about one benchmark's run."""
    return {
        "benchmark": contest.name,
        "is_quick": is_quick,
        "date": machine.now(),
        "commit": machine.commit(),
        "machine": machine.machine(),
        "load_before": load,
        "versions": rivals.versions(),
        "stack_bytes": rivals.stack_bytes(),
        "cases": turns,
    }


def save(doc: Document) -> None:
    """A quick run has a file of its own, so that it never spoils a full run's."""
    _path(doc["benchmark"], doc["is_quick"]).write_text(
        json.dumps(doc, indent=1) + "\n", encoding="utf-8"
    )


def load_full(name: str) -> Document | None:
    path = _path(name, is_quick=False)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def section(contest: Contest, doc: Document) -> str:
    """One benchmark as Markdown: the same text for the terminal."""
    parts = [f"## {contest.title}", contest.how]
    for case, turns in doc["cases"].items():
        parts += [
            f"### {case[0].upper()}{case[1:]}",
            table_of(rows_of(turns, contest.metrics), contest.metrics),
        ]
    return "\n\n".join(parts)


def write(contests: Mapping[str, Contest]) -> None:
    """RESULTS.md anew, from the documents of all benchmarks that have had a full run."""
    found = {name: load_full(name) for name in contests}
    docs = {name: doc for name, doc in found.items() if doc}
    newest = max(docs.values(), key=lambda doc: doc["date"])
    goals = table_of_goals(contests, {name: doc["cases"] for name, doc in docs.items()})
    parts = [HEAD.strip(), _facts(newest), "## Goals", goals]
    for name, doc in docs.items():
        parts += [section(contests[name], doc), _origin(doc)]
    RESULTS.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _facts(doc: Document) -> str:
    facts = {**doc["machine"], **doc["versions"]}
    del facts["Python"]  # each benchmark may have been run by another
    return "\n".join(f"- {key}: {value}" for key, value in facts.items())


def _origin(doc: Document) -> str:
    stacks = f"stacks of {doc['stack_bytes'] / 2**20:g} MiB"  # fibril's; others ask for none
    return f"{doc['machine']['Python']}, {stacks}, {doc['date']}, commit {doc['commit']}."


def _path(name: str, is_quick: bool) -> Path:
    return BUILT / f"{name}{'.quick' if is_quick else ''}.json"
