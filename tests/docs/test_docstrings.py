"""Every example in a docstring runs and prints what it says."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import fibril

RUNNER = Path(__file__).with_name("run_examples.py")
# Imported under other names, or by programs that are not installed here.
OF_OTHERS = ("fibril.compat.", "fibril.contrib.")
NOT_FOR_IMPORT = {
    "fibril.__main__",
    "fibril.inspect.fibril-gdb",
    "fibril.monkey.thread_3_11",
    "fibril.monkey.thread_3_13",
    "fibril.monkey.thread_3_14",
}


def modules():
    found = pkgutil.walk_packages(fibril.__path__, "fibril.", onerror=lambda name: None)
    names = [module.name for module in found if not module.name.startswith(OF_OTHERS)]
    return ["fibril", *(name for name in names if name not in NOT_FOR_IMPORT)]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name):
    command = [sys.executable, "-W", "error", str(RUNNER), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_most_used_names_have_examples():
    for thing in (fibril.spawn, fibril.Fiber, fibril.Task, fibril.joinall, fibril.Timeout):
        assert ">>> " in thing.__doc__, thing
