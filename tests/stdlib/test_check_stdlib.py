"""What `make check-stdlib` says of tests that fail, hang, crash, or are listed in vain."""

import importlib.util
import textwrap
import time
from pathlib import Path

import pytest

from tests.stdlib import check_stdlib, lists, one_file
from tests.stdlib.lists import Known

HAS_TESTS = importlib.util.find_spec("test.test_time") is not None  # Debian's may have a few only
needs_tests = pytest.mark.skipif(not HAS_TESTS, reason="this Python came without its own tests")

TESTS = """
    import os, signal, subprocess, time, unittest
    from fibril import monkey

    class Tests(unittest.TestCase):
        def test_passes(self):
            self.assertTrue(monkey.is_module_patched("time"))
        def test_fails(self):
            self.fail("on purpose")
        def test_has_a_subtest_that_fails(self):
            for number in range(3):
                with self.subTest(number=number):
                    self.assertNotEqual(number, 1)
        def test_is_skipped(self):
            self.skipTest("on purpose")
        @unittest.expectedFailure
        def test_fails_as_expected(self):
            self.fail("on purpose")
"""
HANGS = """
    class Hangs(unittest.TestCase):
        def test_hangs(self):
            child = subprocess.Popen(["sleep", "60"])
            print("child", child.pid, flush=True)
            child.wait()
"""
CRASHES = """
    class Crashes(unittest.TestCase):
        def test_crashes(self):
            os.kill(os.getpid(), signal.SIGSEGV)
"""
HAS_NO_SETUP = """
    class Broken(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            raise OSError("on purpose")
        def test_never_begins(self):
            pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_fake.py").write_text(textwrap.dedent(TESTS), encoding="utf-8")
    return tmp_path


def run(
    folder: Path, more: str = "", *, silence_s: float = 20, is_patched: bool = True
) -> one_file.Run:
    with (folder / "test_fake.py").open("a", encoding="utf-8") as file:
        file.write(textwrap.dedent(more))
    options = ["--testdir", str(folder)]
    return one_file.run("test_fake", options, is_patched=is_patched, silence_s=silence_s)


def is_soon_gone(pid: int) -> bool:
    """Killed, though perhaps nobody has asked for its end yet."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            return True
        if state[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def known(test: str) -> Known:
    return Known(test, reason="", versions=(), hangs=False)


@needs_tests
def test_each_test_is_told_with_what_became_of_it(folder: Path) -> None:
    done = run(folder, HAS_NO_SETUP)
    assert done.outcomes == {
        "setUpClass (test_fake.Broken)": "error",
        "test_fake.Tests.test_fails": "fail",
        "test_fake.Tests.test_fails_as_expected": "ok",
        "test_fake.Tests.test_has_a_subtest_that_fails": "fail",
        "test_fake.Tests.test_is_skipped": "skip",
        "test_fake.Tests.test_passes": "ok",
    }
    assert done.code == 2
    assert 'self.fail("on purpose")' in check_stdlib.excerpt(
        done.said, "test_fake.Tests.test_fails"
    )


@needs_tests
def test_without_the_patch_nothing_is_patched(folder: Path) -> None:
    outcomes = run(folder, is_patched=False).outcomes
    assert outcomes["test_fake.Tests.test_passes"] == "fail"


@needs_tests
def test_who_hangs_is_named_and_ended_with_its_children(folder: Path) -> None:
    done = run(folder, HANGS, silence_s=1.5)
    assert done.code is None
    assert done.outcomes["test_fake.Hangs.test_hangs"] == "hung"
    assert "Current thread" in done.said
    child = int(done.said.partition("child ")[2].split()[0])
    assert is_soon_gone(child)


@needs_tests
def test_who_takes_the_interpreter_down_is_named(folder: Path) -> None:
    outcomes = run(folder, CRASHES).outcomes
    assert outcomes == {"test_fake.Crashes.test_crashes": "crashed"}


def test_what_fails_is_wrong_unless_it_is_listed() -> None:
    done = one_file.Run({"test_x.T.test_a": "fail", "test_x.T.test_b": "error"}, 2, "", 0)
    assert check_stdlib.errors("test_x", done, [known("test_x.T.test_a")]) == {
        "test_x.T.test_b": "error"
    }


def test_what_is_listed_is_wrong_if_it_passes_or_is_not_there() -> None:
    done = one_file.Run({"test_x.T.test_a": "ok"}, 0, "", 0)
    listed = [known("test_x.T.test_a"), known("test_x.T.test_gone")]
    assert check_stdlib.errors("test_x", done, listed) == {
        "test_x.T.test_a": "ok: take it out of known.toml",
        "test_x.T.test_gone": "it is not there: take it out of known.toml, or mend its name",
    }


def test_what_was_not_reached_is_not_missed() -> None:
    done = one_file.Run({"test_x.T.test_a": "crashed"}, -11, "", 0)
    listed = [known("test_x.T.test_z")]
    assert check_stdlib.errors("test_x", done, listed) == {"test_x.T.test_a": "crashed"}


def test_a_process_that_fails_though_no_test_did_is_wrong() -> None:
    done = one_file.Run({"test_x.T.test_a": "ok"}, 3, "", 0)
    assert check_stdlib.errors("test_x", done, []) == {
        "test_x": "exit code 3, though no test failed"
    }


def test_a_class_that_cannot_begin_is_selected_as_a_whole() -> None:
    tests = ["setUpClass (test_x.T)", "test_x.T.test_a"]
    assert check_stdlib.selecting(tests) == [
        *("--match", "test.test_x.T.*", "--match", "test.test_x.T.test_a")
    ]


def test_what_passes_by_itself_is_told_and_excused_unless_it_hung(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = one_file.Run(
        {"test_x.T.a": "fail", "test_x.T.b": "error", "test_x.T.c": "hung"}, None, "", 0
    )

    def again(file: str, tests: list[str], *, is_patched: bool) -> set[str]:
        return {"test_x.T.b"} & set(tests) if is_patched else set()

    monkeypatch.setattr(check_stdlib, "again", again)
    lines = list(check_stdlib.judgement("test_x", done, dict(done.outcomes)))
    assert [line for line in lines if not line.startswith("    ")] == [
        "  test_x.T.a: fail among the others, but not by itself",
        "! test_x.T.b: error",
        "! test_x.T.c: hung",
    ]


def test_a_list_of_versions_has_whole_ones_and_some_from_a_release_on() -> None:
    versions = ["3.12", "3.13.4+"]
    assert [lists.is_of(version, versions) for version in ("3.12.0", "3.13.4", "3.13.15")] == [
        True
    ] * 3
    assert [lists.is_of(version, versions) for version in ("3.13.3", "3.14.5", "3.1.9")] == [
        False
    ] * 3


def test_parts_are_all_files_and_take_about_as_long() -> None:
    seconds = lists.files("3.13.0")
    parts = [lists.part_of(seconds, f"{number}/5") for number in range(5)]
    assert sorted(name for part in parts for name in part) == sorted(seconds)
    loads = [sum(seconds[name] for name in part) for part in parts]
    assert max(loads) <= 1.3 * min(loads) or max(loads) == max(seconds.values())


@pytest.mark.parametrize("version", ["3.11.7", "3.12.1", "3.13.0", "3.13.15", "3.14.8", "3.15.0"])
def test_what_is_left_out_is_little_has_a_reason_and_belongs_to_a_file(version: str) -> None:
    left_out = lists.known(version)
    assert len(left_out) < 20
    assert all(len(entry.reason) > 40 for entry in left_out)
    assert {entry.file for entry in left_out} <= set(lists.files(version))
