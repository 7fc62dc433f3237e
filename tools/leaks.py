"""leaks.py: a pytest plugin that runs each test several times and refuses what grows each time.

    make test LEAKS=5 [K=…]          = python -m pytest -p tools.leaks --leaks=5 tests/unit

After each run of a test, with its fixtures gone and cycles collected, everything countable is
counted: memory blocks, objects by type, references (a debug build of CPython counts all of them),
bytes of stacks, open descriptors, threads. The first runs warm up caches. What has grown in every
run after them, and in thirty times as many, is a leak: caches fill up, slowly; a leak goes on.

A test that loses something on purpose says so: @pytest.mark.loses("what, and why").
Do not add: tolerance in numbers. One object each time is a leak.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections import Counter
from itertools import pairwise
from tempfile import TemporaryFile
from typing import IO

import pytest
from _pytest.runner import runtestprotocol

import fibril

WARM_UP = 2
PATIENCE = 30  # times that many runs where something grows: free lists have up to 256 places
SLAB = {"nr", "nh"}  # flags of a mapping that holds stacks: no reserve, no huge pages


def settle() -> None:
    """Let everything go that is only waiting to go."""
    for _ in range(3):
        gc.collect()
        fibril.sleep(0)  # what the collector handed to the hub unwinds now
    gc.collect()


def slabs() -> int:
    """KiB of address space that stacks take."""
    total = size = 0
    with open("/proc/self/smaps", encoding="utf-8") as file:
        for line in file:
            if line.startswith("Size:"):
                size = int(line.split()[1])
            elif line.startswith("VmFlags:") and set(line.split()) >= SLAB:
                total += size
    return total


def count() -> Counter[str]:
    """Everything that can be counted."""
    settle()
    kinds = Counter(map(type, gc.get_objects()))
    found = Counter({f"{kind.__module__}.{kind.__qualname__}": n for kind, n in kinds.items()})
    found["blocks of memory"] = sys.getallocatedblocks()
    found["KiB of stacks"] = slabs()
    found["live stacks"] = fibril.get_hub().statistics()["stacks_live"]
    found["open descriptors"] = len(os.listdir("/proc/self/fd"))
    found["threads"] = threading.active_count()
    if hasattr(sys, "gettotalrefcount"):
        found["references"] = sys.gettotalrefcount()
    return found


def read(file: IO[bytes]) -> list[Counter[str]]:
    """What was written down so far."""
    file.seek(0)
    return [Counter(json.loads(line)) for line in file]


def grown(counts: list[Counter[str]]) -> dict[str, list[int]]:
    """What has grown each time, and by how much."""
    steps = list(pairwise(counts))
    return {
        name: [after[name] - before[name] for before, after in steps]
        for name in counts[-1]
        if all(after[name] > before[name] for before, after in steps)
    }


class Leaks:
    """The plugin, once --leaks is given."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.found: dict[str, dict[str, list[int]]] = {}
        self.looked_at = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        if runs_elsewhere(item):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        with TemporaryFile() as file:  # in memory they would be a growth of their own
            reports = self._run(item, nextitem, file)
            if all(report.passed for report in reports):
                self._judge(item, grown(read(file)))
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run(
        self, item: pytest.Item, nextitem: pytest.Item | None, file: IO[bytes]
    ) -> list[pytest.TestReport]:
        """Run the test again and again, and write down what there is after each run. Where it
        grows, some more: a free list of 256 takes one more each time for a while."""
        number = 0
        while True:
            reports = runtestprotocol(item, log=False, nextitem=nextitem)
            if not all(report.passed for report in reports):
                return reports  # skipped, or failed: reported as it is
            forget(item)
            number += 1
            if number >= WARM_UP:
                file.write(json.dumps(count()).encode() + b"\n")
            if number >= self.times * PATIENCE or (number >= self.times and not grown(read(file))):
                return reports

    def _judge(self, item: pytest.Item, leaked: dict[str, list[int]]) -> None:
        self.looked_at += 1
        if leaked and item.get_closest_marker("loses") is None:
            self.found[item.nodeid] = leaked

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section(f"leaks: {self.looked_at} tests, {self.times} times each")
        for name, leaked in self.found.items():
            terminalreporter.write_line(name)
            for kind, steps in sorted(leaked.items()):
                terminalreporter.write_line(f"    {kind}: {steps}")
        terminalreporter.write_line(f"{len(self.found)} tests leave something behind each time")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def runs_elsewhere(item: pytest.Item) -> bool:
    """It starts fresh interpreters and leaves nothing here: once is enough."""
    return item.path.name == "test_cli.py" or "interpreter" in getattr(item, "fixturenames", ())


def forget(item: pytest.Item) -> None:
    """What pytest itself keeps of a run; and the item is as new."""
    item._report_sections.clear()
    item.user_properties.clear()
    if isinstance(item, pytest.Function):
        for fixtures in item._fixtureinfo.name2fixturedefs.values():
            for fixture in fixtures:  # one of the session notes each test that asked for it
                del fixture._finalizers[1:]
        item._initrequest()
        item.funcargs.clear()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--leaks", type=int, default=5, help="how often each test runs")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Leaks(config.getoption("--leaks")), "leaks")
