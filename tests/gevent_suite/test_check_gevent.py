"""What `make gevent-suite` says of tests that pass with gevent, and with fibril or not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gevent_suite import check_gevent, control, module, one_module, place
from tests.gevent_suite.control import Control
from tests.stdlib import lists
from tests.stdlib.lists import Known
from tests.stdlib.one_file import Run


def wanted(*tests: str, code: int | None = 0) -> Control:
    return Control(frozenset(tests), code, 1)


def listed(test: str) -> Known:
    return Known(test, reason="", versions=(), hangs=False, cause="on purpose")


def test_what_passes_with_gevent_and_does_not_pass_is_wrong_unless_it_is_listed() -> None:
    outcomes = {"test__x.T.a": "fail", "test__x.T.b": "skip", "test__x.U.c": "error"}
    run = Run({**outcomes, "test__x.T.d": "fail"}, 1, "", 0)
    tests = wanted(*outcomes, "test__x.T.gone")
    assert check_gevent.errors(run, tests, [listed("test__x.U.*")], "test__x") == {
        "test__x.T.a": "fail",
        "test__x.T.b": "skip",
        "test__x.T.gone": "it was not run",
    }


def test_what_is_listed_is_wrong_if_it_passes_or_does_not_with_gevent() -> None:
    run = Run({"test__x.T.a": "ok"}, 0, "", 0)
    tests = [listed("test__x.T.a"), listed("test__x.T.b")]
    assert check_gevent.errors(run, wanted("test__x.T.a"), tests, "test__x") == {
        "test__x.T.a": "ok: take it out of known.toml",
        "test__x.T.b": "it does not pass with gevent: take it out of known.toml",
    }


def test_a_process_that_fails_though_no_test_did_is_wrong_unless_it_does_with_gevent() -> None:
    run = Run({"test__x.T.a": "ok"}, 3, "", 0)
    assert check_gevent.errors(run, wanted("test__x.T.a", code=3), [], "test__x") == {}
    assert check_gevent.errors(run, wanted("test__x.T.a"), [], "test__x") == {
        "test__x": "exit code 3, though no test failed"
    }


def test_what_passes_by_itself_is_told_and_excused_unless_it_hung(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run({"test__x.T.a": "fail", "test__x.T.b": "error", "test__x.T.c": "hung"}, None, "", 0)

    def alone(name: str, matched: list[str]) -> Run:
        return Run({"test__x.T.a": "ok", "test__x.T.b": "error"}, 1, "", 0)

    monkeypatch.setattr(module, "run", alone)
    lines = list(check_gevent.judgement("test__x", run, dict(run.outcomes)))
    assert [line for line in lines if not line.startswith("    ")] == [
        "  test__x.T.a: fail among the others, but not by itself",
        "! test__x.T.b: error",
        "! test__x.T.c: hung",
    ]


def test_a_test_has_the_same_name_wherever_its_class_is_from() -> None:
    class FromElsewhere:
        def __init__(self, name: str) -> None:
            self.id = lambda: name

    name_of = one_module.named("test__x")
    assert [
        name_of(FromElsewhere(name))
        for name in (
            "__main__.T.a",
            "gevent.tests.lock_tests.T.a",
            "setUpClass (__main__.T)",
        )
    ] == ["test__x.T.a", "test__x.gevent.tests.lock_tests.T.a", "setUpClass (test__x.T)"]


def test_fibrils_gevent_has_gevents_tests_and_nothing_else_of_it() -> None:
    place.make()
    program = (
        "import fibril, gevent.tests, gevent.testing, gevent.lock\n"
        "assert gevent.spawn is fibril.spawn\n"
        "try: import gevent._gevent_cgreenlet\n"
        "except ModuleNotFoundError: print('ok')\n"
    )
    command = [sys.executable, "-c", program]
    environ = {"PATH": "/usr/bin", **place.variables()}
    assert subprocess.check_output(command, env=environ, text=True) == "ok\n"


def test_the_outcomes_with_gevent_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def run(name: str, **options: object) -> Run:
        runs.append(name)
        return Run({"test__x.T.a": "ok", "test__x.T.b": "skip"}, 0, "", 1.5)

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(control, "_KEPT", tmp_path / "control.json")
    first, second = control.of("test__x"), control.of("test__x")
    assert first == second == Control(frozenset({"test__x.T.a"}), 0, 1.5)
    assert runs == ["test__x"]


@pytest.mark.parametrize("version", ["3.11.7", "3.13.0", "3.15.0"])
def test_what_cannot_pass_has_a_reason_and_belongs_to_a_module(version: str) -> None:
    known = check_gevent.known(version)
    assert all(len(entry.reason) > 40 and entry.cause for entry in known)
    assert {entry.file for entry in known} <= set(place.modules())


def test_parts_are_all_modules() -> None:
    modules = check_gevent.seconds()
    parts = [lists.part_of(modules, f"{number}/10") for number in range(10)]
    assert sorted(name for part in parts for name in part) == place.modules()
    assert max(modules.values()) > check_gevent.USUAL_S
