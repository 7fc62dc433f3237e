"""The vocabulary of a benchmark: what it measures, who takes part, and how one part is run.

A *contest* is one short program, `bench_<name>.py`. It has *cases* (with one argument, with 64
connections) and *contenders* (fibril, its rivals, the limit). A contender offers a function per
case; the function takes an `Effort` and returns the figures of one sample. `bench/run.py` runs each
pair of contender and case in a process of its own, by `python bench_<name>.py CONTENDER CASE`, so
that nobody inherits anybody's heap, patched modules or threads; the sample is printed as JSON.

Nothing is imported for a contender until its function runs: a rival that is missing is an error
of that contender alone.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How much is measured. All sizes of all benchmarks are here, twice: full and quick."""

    rounds: int  # samples of each contender, each in a fresh process
    chunks: int  # measurements within a sample, of which the best counts
    chunk_s: float  # CPU time of one of them
    parked: int  # tasks parked at once in the memory benchmark
    crowd: int  # and in the benchmark of a crowd
    million: int  # and in that of a million
    echo_s: float  # the client's window


FULL = Effort(
    rounds=7, chunks=5, chunk_s=0.05, parked=100_000, crowd=1_000_000, million=1_000_000, echo_s=0.6
)
QUICK = Effort(
    rounds=2, chunks=3, chunk_s=0.01, parked=20_000, crowd=50_000, million=50_000, echo_s=0.15
)

Sample = Mapping[str, float]
Contender = Mapping[str, Callable[[Effort], Sample]]


@dataclass(frozen=True)
class Metric:
    """One figure of a sample."""

    key: str
    label: str
    digits: int = 0
    is_compared: bool = True  # gets a column of ratios
    is_more_better: bool = False
    words: tuple[str, str] = ("faster", "slower")


@dataclass(frozen=True)
class Contest:
    """One benchmark: the first metric decides who wins."""

    name: str
    title: str
    how: str  # what is measured, for the reader of the table
    metrics: tuple[Metric, ...]
    contenders: Mapping[str, Contender]
    rounds_max: int = FULL.rounds
    is_disturbed: Callable[[Sample], bool] = lambda sample: False  # counts only if all are
    is_pinned: bool = True  # to one core; a program with children pins them itself

    def cases(self) -> list[str]:
        """All cases, in the order in which contenders offer them."""
        return list(dict.fromkeys(case for offer in self.contenders.values() for case in offer))


def effort_of(is_quick: bool) -> Effort:
    return QUICK if is_quick else FULL


def main(contest: Contest) -> None:
    """Run one contender in one case, as the command line says, and print its sample."""
    parser = argparse.ArgumentParser(description=contest.title, epilog=contest.how)
    parser.add_argument("contender", choices=contest.contenders)
    parser.add_argument("case", choices=contest.cases())
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if contest.is_pinned:  # the same core for all: a wandering process pays for cold caches
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sample = contest.contenders[args.contender][args.case](effort_of(args.quick))
    print(json.dumps(sample), flush=True)
