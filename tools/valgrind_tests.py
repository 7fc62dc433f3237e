"""valgrind_tests.py: runs tests under valgrind's memcheck; any error that it reports is a failure.

    python tools/valgrind_tests.py [PART-OF-A-NAME]     all of tests/unit, or those of that name

Runs inside the `valgrind` environment of tools/env.py, whose build of fibril tells valgrind of each
stack. The process of the tests is watched, and its forked children; fresh interpreters that tests
start are not, because each would take a quarter of a minute to come up. Each process writes a log
of its own below build/valgrind; the errors in all of them are printed and counted.

Python's own allocator is off, so that valgrind sees each object. CPython 3.11 multiplies the size 0
of a small integer with a digit that was never written, and so taints every use of 0: there memcheck
looks at addresses only.

The whole suite takes about an hour.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LOGS = TOP / "build" / "valgrind"
SHOWN_MAX = 20
OPTIONS = [
    "--tool=memcheck",
    "--leak-check=no",  # CPython leaks at exit by design; `make test LEAKS=5` looks for ours
    "--num-callers=30",
    f"--suppressions={TOP / 'tools' / 'valgrind.supp'}",
    f"--log-file={LOGS / '%p.log'}",
]
BLANK = re.compile(r"^==\d+== *\n", re.MULTILINE)
ERROR = re.compile(r"^==\d+==    at 0x", re.MULTILINE)
SUMMARY = re.compile(r"^==\d+== ERROR SUMMARY: (\d+) errors from (\d+) contexts", re.MULTILINE)


def options() -> list[str]:
    has_tainted_zero = sys.version_info[:2] == (3, 11)
    return [*OPTIONS, "--undef-value-errors=no"] if has_tainted_zero else OPTIONS


def errors(log: str) -> list[str]:
    """What valgrind complained of, each with its stack."""
    return [part.rstrip() for part in BLANK.split(log) if ERROR.search(part)]


def summed(log: str) -> int:
    """The errors of a process; of one that was killed, and has no summary, those in its log."""
    counts = [int(found[1]) for found in SUMMARY.finditer(log)]
    return sum(counts) if counts else len(errors(log))


def run_tests(arguments: list[str]) -> int:
    command = ["valgrind", *options(), sys.executable, "-m", "pytest", "-q", "--timeout=0"]
    variables = {
        "PYTHONMALLOC": "malloc",
        "FIBRIL_SANITIZER": "valgrind",  # tests that measure memory or time skip themselves
        "FIBRIL_SLOWDOWN": "40",  # what is bounded by time may take that much longer
    }
    return subprocess.run(
        [*command, *arguments], cwd=TOP, env=os.environ | variables, check=False
    ).returncode


def main() -> None:
    if shutil.which("valgrind") is None:
        sys.exit("there is no valgrind on this machine. Debian: apt install valgrind")
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    chosen = ["-k", sys.argv[1]] if sys.argv[1:] else []
    status = run_tests(["tests/unit", *chosen])
    logs = {
        path.stem: path.read_text(errors="replace", encoding="utf-8")
        for path in sorted(LOGS.glob("*.log"))
    }
    found = [error for log in logs.values() for error in errors(log)]
    print("\n\n".join(found[:SHOWN_MAX]))
    if len(found) > SHOWN_MAX:
        print(f"… and {len(found) - SHOWN_MAX} more below {LOGS.relative_to(TOP)}")
    count = sum(map(summed, logs.values()))
    print(f"valgrind: {count} errors in {len(logs)} processes; pytest ended with {status}")
    sys.exit(bool(count) or status)


if __name__ == "__main__":
    main()
