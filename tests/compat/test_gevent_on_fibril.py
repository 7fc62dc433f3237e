"""The real gevent, from its wheel and unmodified, on fibril's fibers: its own tests pass.

gevent's compiled modules find the engine through greenlet's C interface and derive from its type;
`fibril shim --only greenlet` is all that is between. The same cases pass on greenlet itself: set
FIBRIL_TEST_ENGINE=greenlet to see that, and where a failure comes from.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from fibril.compat import shim
from tests.conftest import Finished

ENGINE = os.environ.get("FIBRIL_TEST_ENGINE", "fibril")
LIMIT_S = 150  # gevent's own tests do sleep: test__pool for half a minute

pytestmark = [
    pytest.mark.timeout(LIMIT_S * 3),
    pytest.mark.skipif(
        "FIBRIL_SANITIZER" in os.environ,
        reason="gevent's own tests measure time, and fail when slow",
    ),
]


class Module(NamedTuple):
    """One of gevent's test modules."""

    count_min: int  # fewer cases than this mean that the run was not what it should be
    excluded: Mapping[str, str] = MappingProxyType({})  # case → why it is not run here


DNS = "asks a name server on the internet for foo.bar.fizzbuzz"
MODULES = {
    "test__pool": Module(132),  # first: it takes longest, and two run at a time
    "test__greenlet": Module(106),
    "test__queue": Module(100),
    "test__event": Module(46),
    "test__socket": Module(
        24, {"test_connect_ex_gaierror": DNS, "test_connect_ex_not_call_connect": DNS}
    ),
    "test__core_fork": Module(1),
    "test__threadpool": Module(94),
}


def run_module(name: str, path: str) -> Finished:
    """Run a test module to its end; if that does not come, its stacks are in what it said."""
    program = Path(__file__).with_name("gevent_module.py")
    excluded = MODULES[name].excluded
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", str(program), ENGINE, name, *excluded],
        env={k: v for k, v in os.environ.items() if "GEVENT" not in k} | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        out, _ = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(6)  # faulthandler shows where
        out, _ = process.communicate()
    return Finished(process.returncode, out, "")


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Finished]]]:
    """The outcome of each module that was asked for, to come: they run two at a time."""
    items = [item for item in request.session.items if "runs" in getattr(item, "fixturenames", ())]
    asked = [name for name in MODULES if any(f"[{name}]" in item.name for item in items)]
    folder = str(tmp_path_factory.mktemp("shims")) if ENGINE == "fibril" else ""
    if folder:
        shim.write(folder, ["greenlet"])
    with ThreadPoolExecutor(2) as executor:
        yield {name: executor.submit(run_module, name, folder) for name in asked}


@pytest.mark.parametrize("name", MODULES)
def test_gevent_passes_its_own(name: str, runs: dict[str, Future[Finished]]) -> None:
    done = runs[name].result()
    ran = re.search(r"^Ran (\d+) tests? in ", done.out, re.MULTILINE)
    assert done.status == 0, f"exit code {done.status}\n{done.out[-6000:]}"
    assert ran, done.out[-6000:]
    assert int(ran[1]) >= MODULES[name].count_min
