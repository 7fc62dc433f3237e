"""C libraries do in tasks what they do in native threads, and leave the other tasks alone.

One process for each library, see run_library.py. The dependency group `torture` has them; which it
has not, for a version of CPython, is listed in known.toml with the reason, and so is what does not
work: what is listed and works is an error too. This takes minutes: `make torture` runs it.
"""

import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fibril import compat
from tests.compat.conftest import compile_extension
from tests.torture.libraries import LIBRARIES

LIMIT_S = 600  # one takes a minute; more, where OpenBLAS's threads wait for each other
TOP = Path(__file__).parents[2]
HERE = Path(__file__).parent
KNOWN = tomllib.loads((HERE / "known.toml").read_text(encoding="utf-8"))
VERSION = "{}.{}".format(*sys.version_info)
IMPORTED_AS = {"protobuf": "google.protobuf", "lxml": "lxml.etree"}

pytestmark = [pytest.mark.torture, pytest.mark.timeout(LIMIT_S + 30)]


def part_of(names: list[str]) -> list[str]:
    """TORTURE_PART=3/7: each seventh of them, from the third on; for CI, another one each day."""
    number, _, count = (os.environ.get("TORTURE_PART") or "0/1").partition("/")
    return names[int(number) % int(count) :: int(count)]


def listed(kind: str, library: str) -> str:
    """The reason why it is missing or fails on this version; or nothing."""
    reasons = [
        entry["reason"]
        for entry in KNOWN.get(kind, [])
        if entry["library"] == library and VERSION in entry.get("versions", [VERSION])
    ]
    return " ".join(reasons)


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled canary.c."""
    folder = tmp_path_factory.mktemp("canary")
    compile_extension(HERE / "canary.c", folder, include=compat.get_include())
    return folder


def run(library: str, folder: Path) -> tuple[bool, str]:
    """Is all well, and what was said."""
    command = [sys.executable, "-m", "tests.torture.run_library", library]
    environ = {**os.environ, "PYTHONPATH": str(folder)}
    try:
        done = subprocess.run(
            command,
            cwd=TOP,
            env=environ,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return False, f"still running after {LIMIT_S} s\n{error.stdout!r:.3000}"
    end = "\n".join(done.stdout.rstrip().split("\n")[-12:])
    return done.returncode == 0, f"exit status {done.returncode}\n{end}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("library", part_of(sorted(LIBRARIES)))
def test_in_tasks_it_does_what_it_does_in_threads(library: str, canary: Path) -> None:
    reason = listed("missing", library)
    is_here = importlib.util.find_spec(IMPORTED_AS.get(library, library)) is not None
    if is_here and reason:
        pytest.fail("It is here: take it out of known.toml.", pytrace=False)
    if not is_here:
        pytest.skip(reason) if reason else pytest.fail("It is not installed here.", pytrace=False)
    is_well, said = run(library, canary)
    if reason := listed("failing", library):
        if is_well:
            pytest.fail("It works: take it out of known.toml.", pytrace=False)
        pytest.xfail(reason)
    if not is_well:
        pytest.fail(said, pytrace=False)


def test_neighbours_notice_what_is_written_into_their_stacks(canary: Path) -> None:
    """Not knowing of any harm is worth something only because of this."""
    program = """if True:
        import ctypes, canary, fibril
        from tests.torture import neighbours
        hold = canary.hold
        def harmed(words, seed, callback):
            def harm(address):
                if words == 4 * neighbours.KIB:
                    ctypes.memset(address + 8, 0, 8)
                return callback(address)
            return hold(words, seed, harm)
        canary.hold = harmed
        print(neighbours.Neighbours(16).complaints())
    """
    command = [sys.executable, "-c", program]
    environ = {**os.environ, "PYTHONPATH": str(canary)}
    done = subprocess.run(
        command, cwd=TOP, env=environ, capture_output=True, text=True, check=True, timeout=30
    )
    # Of 16, one is deep enough to hold a pattern of 4 KiB.
    assert done.stdout == "[\"neighbour 13: Harmed('1 words of neighbour 13 at level 2')\"]\n"


def test_what_is_known_has_a_reason() -> None:
    entries = [entry for entries in KNOWN.values() for entry in entries]
    assert set(KNOWN) <= {"missing", "failing"}
    assert all(len(entry["reason"]) > 40 for entry in entries)
    assert {entry["library"] for entry in entries} <= set(LIBRARIES)
