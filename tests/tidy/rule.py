"""rule.py: what a rule is, the table of all rules, and the ratchet.

A rule is a small function from a Tree to the places where it is broken; its name is a sentence
that is true of such a place. The decorator gives it its remedy and puts it into RULES.

The ratchet: ratchet.toml lists old breaches that are tolerated, each with its size. An entry must
equal what is there: a breach that grows fails, and one that shrinks fails until the entry shrinks
too, so the table can only get shorter.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.tidy.tree import Breach, Tree

Check = Callable[[Tree], Iterator[Breach]]
Ratchet = dict[str, dict[str, int]]
RATCHET_FILE = Path(__file__).with_name("ratchet.toml")


class Rule(NamedTuple):
    name: str
    remedy: str  # what to do about it
    check: Check


RULES: dict[str, Rule] = {}


def rule(remedy: str) -> Callable[[Check], Check]:
    """Makes the function below it a rule."""

    def register(check: Check) -> Check:
        RULES[check.__name__] = Rule(check.__name__, remedy, check)
        return check

    return register


def read_ratchet(path: Path = RATCHET_FILE) -> Ratchet:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def complaints(checked: Rule, tree: Tree, tolerated: dict[str, int]) -> list[str]:
    """What to print: breaches beyond the tolerated ones, and entries that tolerate too much."""
    found: dict[str, list[Breach]] = defaultdict(list)
    for breach in checked.check(tree):
        found[breach.key].append(breach)
    lines = []
    for key in sorted({*found, *tolerated}):
        amount = sum(breach.amount for breach in found[key])
        allowed = tolerated.get(key, 0)
        if amount > allowed:
            lines += [f"{b.path}:{b.line}: {b.what}. {checked.remedy}" for b in found[key]]
        elif amount < allowed:
            mend = f"Write {amount}" if amount else "Delete the entry"
            lines.append(f'ratchet.toml: [{checked.name}] "{key}" tolerates {allowed}. {mend}.')
    return lines
