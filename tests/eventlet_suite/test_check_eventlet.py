"""The list of what cannot pass is well-formed, and what the suite says of a run is right."""

from fnmatch import fnmatchcase

import pytest

from tests.eventlet_suite import check_eventlet, one_file
from tests.eventlet_suite.check_eventlet import Tally
from tests.stdlib.one_file import Run


def test_each_kind_has_a_reason_and_names_tests() -> None:
    entries = check_eventlet.known()
    assert all(len(entry.reason) > 40 and entry.cause for entry in entries)
    assert all("::" in entry.test for entry in entries)
    patterns = [entry.test for entry in entries]
    for pattern in patterns:
        others = [other for other in patterns if other is not pattern]
        assert not any(fnmatchcase(pattern, other) for other in others), pattern


def test_a_test_is_called_as_pytest_calls_it() -> None:
    assert one_file.path_of("hub_test", "hub_test") == "tests/hub_test.py"
    assert one_file.path_of("hub_test", "hub_test::A::b") == "tests/hub_test.py::A::b"


def lines_of(
    monkeypatch: pytest.MonkeyPatch, outcomes: dict[str, str], wanted: set[str]
) -> list[str]:
    run = Run(outcomes, 0, "what pytest said", 1.0)
    monkeypatch.setattr(one_file, "run", lambda *args, **options: run)
    tally = Tally()
    monkeypatch.setattr(tally.controls, "of", lambda file: wanted)
    lines = list(tally.check("x_test"))
    assert tally.wanted_count == len(wanted)
    return [line for line in lines if line.startswith("! ")]


def test_what_should_pass_and_does_not_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {"x_test::a": "ok", "x_test::b": "fail", "x_test::c": "crashed", "x_test::d": "fail"}
    wanted = {"x_test::a", "x_test::b", "x_test::c", "x_test::e"}
    assert lines_of(monkeypatch, outcomes, wanted) == [
        "! x_test::b: fail",
        "! x_test::c: crashed",
        "! x_test::e: it was not run",
    ]


def test_what_is_listed_and_passes_or_hangs_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [f"greendns_test::TestUdp::{test}" for test in "abc"]
    outcomes = dict(zip(listed, ("fail", "ok", "hung"), strict=True))
    assert lines_of(monkeypatch, outcomes, set(listed)) == [
        "! greendns_test::TestUdp::b: ok: take it out of known.toml",
        "! greendns_test::TestUdp::c: hung",
    ]
