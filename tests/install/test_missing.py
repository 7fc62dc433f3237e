"""What a machine lacks is said in one sentence each, before anything is made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.fixture
def bare(tmp_path):
    """A folder of programs, empty at first, which is all that tools/env.py finds."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def refusal(bare, **variables):
    kept = {name: value for name, value in os.environ.items() if name != "CC"}
    done = subprocess.run(
        [sys.executable, "tools/env.py", "demo"],
        cwd=TOP,
        env=kept | {"PATH": str(bare)} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr.splitlines()


def test_without_a_compiler(bare):
    assert refusal(bare) == [
        "fibril cannot be built here: it needs a C compiler, cc (Debian: apt install gcc)."
    ]


def test_without_the_compiler_that_was_named(bare):
    assert refusal(bare, CC="nonesuch -m64") == [
        "fibril cannot be built here: it needs a C compiler, nonesuch (Debian: apt install gcc)."
    ]


def test_without_the_headers_of_the_c_library(bare):
    (bare / "cc").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (bare / "cc").chmod(0o755)
    need = "the headers of the C library (Debian: apt install libc6-dev)"
    assert refusal(bare) == [f"fibril cannot be built here: it needs {need}."]
