"""greenlet's own test suite, unmodified, on fibril's greenlet.

The wheel of greenlet is installed beside fibril for its tests. Here they are put into a folder
where `greenlet` is fibril's package, and run in a process of their own, one for each module. What
becomes of each test is compared to greenlet_known.toml, which names those that cannot pass and says
why; a test that is listed there and passes is an error too.

These take minutes, and some of them sleep: `make greenlet` runs them, `make check` does not.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fibril import compat
from tests.compat import run_suite

LIMIT_S = 300
KNOWN = tomllib.loads(Path(__file__).with_name("greenlet_known.toml").read_text(encoding="utf-8"))[
    "known"
]
VERSION = "{}.{}".format(*sys.version_info)
WHEEL = Path(str(importlib.metadata.distribution("greenlet").locate_file("greenlet")))
ALIAS = Path(compat.__file__).with_name("greenlet")
MODULES = sorted(path.stem for path in (WHEEL / "tests").glob("test_*.py"))

pytestmark = [pytest.mark.greenlet_suite, pytest.mark.timeout(LIMIT_S + 30)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `import greenlet` gets fibril's, and `greenlet.tests` is the wheel's."""
    place = tmp_path_factory.mktemp("greenlet")
    shutil.copytree(ALIAS, place / "greenlet")
    shutil.copytree(WHEEL / "tests", place / "greenlet" / "tests")
    return place


def run(folder: Path, module: str) -> tuple[dict[str, str], str]:
    """Outcome by test, and what the tests printed."""
    path = folder / f"{module}.outcomes"
    command = [sys.executable, run_suite.__file__, str(path), f"greenlet.tests.{module}"]
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        said = f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    except subprocess.TimeoutExpired as error:
        said = f"still running after {LIMIT_S} s\n{error.stdout}\n{error.stderr}"
    outcomes: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        outcome, test = line.split()
        if outcomes.get(test) not in ("fail", "error"):  # a subtest's failure is the test's
            outcomes[test] = outcome
    return outcomes, said


def known_of(module: str) -> dict[str, str]:
    """Reason by test, for those of the module that cannot pass on this version."""
    prefix = f"greenlet.tests.{module}."
    return {
        f"greenlet.tests.{entry['test']}": entry["reason"]
        for entry in KNOWN
        if f"greenlet.tests.{entry['test']}".startswith(prefix)
        and VERSION in entry.get("versions", [VERSION])
    }


@pytest.mark.parametrize("module", MODULES)
def test_greenlets_own_tests_pass(folder: Path, module: str) -> None:
    outcomes, said = run(folder, module)
    known = known_of(module)
    bad = {test for test, outcome in outcomes.items() if outcome not in ("ok", "skip")}
    lines = [f"{test}: {outcomes[test]}" for test in sorted(bad - set(known))]
    lines += [f"{test} passes: take it out of the list" for test in sorted(set(known) - bad)]
    if lines or not outcomes:
        pytest.fail("\n".join([*lines, said]), pytrace=False)


def test_what_cannot_pass_is_little_and_has_a_reason() -> None:
    assert len(KNOWN) < 10
    assert all(len(entry["reason"]) > 40 for entry in KNOWN)
    assert {entry["test"].split(".")[0] for entry in KNOWN} <= set(MODULES)
