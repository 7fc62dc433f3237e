"""Every example on the pages of docs/ runs and prints what it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
RUNNER = Path(__file__).with_name("run_page.py")
PAGES = sorted(DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path) -> None:
    done = subprocess.run(
        [sys.executable, RUNNER, page], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.search(r"^(\d+) lines$", done.stdout, re.MULTILINE)
    assert lines is not None
    assert int(lines[1]) > 0
    assert done.stderr == ""
