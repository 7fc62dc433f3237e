"""Each part of the native core compiles alone: it declares what it uses of the others."""

import sysconfig
from pathlib import Path

import pytest

from tools.core_tests import complaints

TOP = Path(__file__).parents[2]
PARTS = sorted(path for path in (TOP / "csrc").rglob("*.c") if path.name != "fibril.c")


def compile_alone(path: Path) -> str:
    return complaints(["cc", "-isystem", sysconfig.get_paths()["include"]], path)


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.name)
def test_the_part_compiles_alone(path: Path) -> None:
    assert compile_alone(path) == ""


def test_a_part_that_uses_what_it_does_not_declare_is_refused(tmp_path: Path) -> None:
    part = tmp_path / "part.c"
    part.write_text("int part(void) { return of_another_part(); }\n", encoding="utf-8")
    assert "of_another_part" in compile_alone(part)


def test_a_part_that_the_compiler_warns_of_is_refused(tmp_path: Path) -> None:
    part = tmp_path / "part.c"
    part.write_text("int part(unsigned count) { return count < -1; }\n", encoding="utf-8")
    assert "signed" in compile_alone(part)


def test_parts_before_python_do_not_know_it() -> None:
    core = [path for path in PARTS if (TOP / "csrc" / "core") in path.parents]
    assert core
    assert [path.name for path in core if "Python.h" in path.read_text(encoding="utf-8")] == []
