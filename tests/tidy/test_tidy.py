"""The style rules as tests; a failure prints file:line and the remedy. See STYLE.md."""

from __future__ import annotations

import pytest

from tests.tidy import (  # fills RULES
    rules_native,
    rules_packaging,
    rules_python,
    rules_size,
    rules_storeys,
    rules_surface,
    rules_text,
)
from tests.tidy.rule import RULES, complaints, read_ratchet
from tests.tidy.samples import SAMPLES
from tests.tidy.tree import Breach, Tree

MODULES = (
    rules_native,
    rules_packaging,
    rules_python,
    rules_size,
    rules_storeys,
    rules_surface,
    rules_text,
)


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree.read()


@pytest.mark.parametrize("name", RULES)
def test_the_tree_keeps_the_rule(tree: Tree, name: str) -> None:
    found = complaints(RULES[name], tree, read_ratchet().get(name, {}))
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("name", RULES)
def test_the_rule_finds_a_breach_where_it_is(name: str) -> None:
    sample = SAMPLES[name]
    assert [breach.line for breach in RULES[name].check(Tree(sample.bad))] == [sample.line]


@pytest.mark.parametrize("name", RULES)
def test_the_rule_leaves_good_code_alone(name: str) -> None:
    assert list(RULES[name].check(Tree(SAMPLES[name].good))) == []


def test_every_rule_has_a_sample_and_every_sample_a_rule() -> None:
    assert set(SAMPLES) == set(RULES)


def test_every_ratchet_table_is_a_rules() -> None:
    assert set(read_ratchet()) <= set(RULES)


def two_breaches(amount: int) -> list[Breach]:
    return [Breach("a.c", 7, "seven", amount), Breach("a.c", 9, "nine", amount)]


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ({}, ["a.c:7: seven. Mend it.", "a.c:9: nine. Mend it."]),
        ({"a.c": 3}, ["a.c:7: seven. Mend it.", "a.c:9: nine. Mend it."]),
        ({"a.c": 4}, []),
        ({"a.c": 5}, ['ratchet.toml: [new] "a.c" tolerates 5. Write 4.']),
        ({"a.c": 4, "b.c": 1}, ['ratchet.toml: [new] "b.c" tolerates 1. Delete the entry.']),
    ],
)
def test_the_ratchet_tolerates_exactly_what_it_lists(
    allowed: dict[str, int], expected: list[str]
) -> None:
    new = RULES["file_is_long"]._replace(
        name="new", remedy="Mend it.", check=lambda _: iter(two_breaches(2))
    )
    assert complaints(new, Tree({}), allowed) == expected
