"""From turns to figures: medians, and ratios to fibril.

A ratio is taken within each round and the median is taken of those, rather than the ratio of two
medians: a minute in which the machine was slow then slows both sides of the same fraction.
Disturbed turns (the contest says which) are left out, unless there are no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import Any

from contest import Metric
from rounds import Case, Turn

FIBRIL = "fibril"


@dataclass(frozen=True)
class Row:
    """One contender in one case: figures by metric, and what went wrong."""

    contender: str
    medians: dict[str, float]
    ratios: dict[str, float]  # its figure divided by fibril's
    errors: list[str]
    turns: int
    calm: int  # turns that gave a figure and were not disturbed


def rows_of(case: Case, metrics: tuple[Metric, ...]) -> list[Row]:
    return [_row(contender, case, metrics) for contender in case]


def gain(ratio: float, metric: Metric) -> float:
    """How many times better fibril is, from another's figure divided by fibril's."""
    return 1 / ratio if metric.is_more_better else ratio


def _row(contender: str, case: Case, metrics: tuple[Metric, ...]) -> Row:
    turns = case[contender]
    samples = _samples(_calm(turns)) or _samples(turns)
    medians = {m.key: median(s[m.key] for s in samples) for m in metrics if samples}
    pairs = _pairs(turns, case.get(FIBRIL, []))
    ratios = {m.key: median(a[m.key] / b[m.key] for a, b in pairs) for m in metrics if pairs}
    errors = [turn["error"] for turn in turns if "error" in turn]
    return Row(contender, medians, ratios, errors, len(turns), len(_calm(turns)))


def _pairs(theirs: list[Turn], ours: list[Turn]) -> list[tuple[Any, Any]]:
    """What to compare: calm turns of the same round; or else of any; or else what there is."""
    rounds = [pair for pair in zip(theirs, ours, strict=False) if len(_samples(pair)) == 2]
    calm = [pair for pair in rounds if len(_calm(pair)) == 2]
    chosen = calm or list(product(_calm(theirs), _calm(ours))) or rounds
    return [(their["sample"], our["sample"]) for their, our in chosen]


def _calm(turns: Sequence[Turn]) -> list[Turn]:
    """Those that gave a sample and were not disturbed."""
    return [turn for turn in turns if not turn.get("is_disturbed", True)]


def _samples(turns: Sequence[Turn]) -> list[Any]:
    return [turn["sample"] for turn in turns if "sample" in turn]
