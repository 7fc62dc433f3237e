"""A Python that fibril does not know is refused by whatever builds it, in one sentence."""

import sys

import pytest

from tests.install.command import refusal

SENTENCE = (
    "fibril runs on CPython 3.11 to 3.15; this is CPython 3.16.0."
    " Use one of those, or a newer fibril."
)
NEWER = """
import sys
from collections import namedtuple

Version = namedtuple("Version", "major minor micro releaselevel serial")
sys.version_info = Version(3, 16, 0, "alpha", 1)
"""


@pytest.fixture
def newer(tmp_path):
    """An interpreter that takes itself for CPython 3.16."""
    (tmp_path / "sitecustomize.py").write_text(NEWER, encoding="utf-8")
    program = tmp_path / "python3.16"
    command = f'PYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"'
    program.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    program.chmod(0o755)
    return str(program)


def test_pip_is_told_as_soon_as_it_asks_how_to_build(newer):
    ask = "import sys; sys.path.insert(0, 'tools'); import backend"
    assert refusal(newer, "-c", ask) == [SENTENCE]


def test_make_is_told_before_anything_is_installed(newer):
    assert refusal(newer, "tools/env.py", "demo") == [SENTENCE]


def test_meson_is_told(newer, tmp_path):
    machine = tmp_path / "machine.ini"
    machine.write_text(f"[binaries]\npython = '{newer}'\n", encoding="utf-8")
    said = refusal("meson", "setup", "--native-file", str(machine), str(tmp_path / "build"))
    assert [line for line in said if line.endswith(f"fibril cannot be built: {SENTENCE}")]
