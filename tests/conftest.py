"""Fixtures for tests of the core: the simulated world, fresh interpreters, a check for leaks.

A test that asks for `sim` runs in a native thread of its own, in a world of
fibril.testing.SimClock: sleeping costs nothing and the order is the same each time. One that asks
for `fresh` has such a thread with the real clock and kernel. Both end after LIMIT_S, and show where
they hang.

What still waits for real time, some milliseconds each, and why: other native threads, whose doings
no simulated clock waits for (thread, threadpool, resolver, spin); signals and their timers (hub);
the kernel's poller and what becomes of it in a fork (hub, fork, socket, ssl); programs with the
standard library patched, whose point is that everything is real (monkey, programs).
"""

import faulthandler
import gc
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import fibril
from fibril import native
from fibril.testing import SimClock, simulated

SLOWDOWN = int(os.environ.get("FIBRIL_SLOWDOWN", "1"))  # emulated, or under valgrind
LIMIT_S = 30 * SLOWDOWN
PACKAGE_PARENT = str(Path(fibril.__file__).resolve().parents[1])

# A shell's background job ignores Ctrl-C, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# ---- threads of their own ----


class Sim:
    """What a test may ask of the simulated world that it runs in."""

    READ, WRITE, HANGUP = SimClock.READ, SimClock.WRITE, SimClock.HANGUP

    @staticmethod
    def now() -> float:
        return SimClock.current().now()

    @staticmethod
    def feed(fd: int, ready: int) -> None:
        """The descriptor is ready from the next wait on."""
        SimClock.current().feed(fd, ready)


@pytest.fixture
def sim() -> Sim:
    return Sim()


@pytest.fixture
def fresh() -> None:
    pass


def run_in_thread(run: Callable[[], object], is_sim: bool) -> None:
    """Run a function in a native thread of its own; raise what it raises, or that it hangs."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            simulated(run)() if is_sim else run()
        except BaseException as error:  # pytest's own outcomes, too, belong to the main thread
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    # We only wait here: for the hub of that thread we are nobody who could wake its fibers.
    native.idle_threads.add(threading.get_ident())
    try:
        thread.start()
        thread.join(LIMIT_S)
    finally:
        native.idle_threads.discard(threading.get_ident())
    if thread.is_alive():
        pytest.fail(f"still running after {LIMIT_S} s\n{_stacks()}", pytrace=False)
    if raised:
        raise raised.pop()


def _stacks() -> str:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    is_sim = "sim" in pyfuncitem.fixturenames
    if not is_sim and "fresh" not in pyfuncitem.fixturenames:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    run_in_thread(lambda: pyfuncitem.obj(**arguments), is_sim)
    return True


@pytest.fixture(autouse=True)
def quiet_signals(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest-timeout's handler runs in the main thread: it wakes nobody in other threads."""
    if "fresh" in request.fixturenames:
        monkeypatch.setattr("fibril.hub._may_be_woken_by_signal", lambda: False)


# ---- calls in other native threads ----


def until(is_met: Callable[[], object]) -> None:
    """Give native threads the time that they need; 20 s at most."""
    for _ in range(20_000):
        if is_met():
            return
        fibril.sleep(0.001)
    pytest.fail("waited for 20 s")


class Gate:
    """Calls of pass_through() wait here until it is opened."""

    def __init__(self) -> None:
        self.lock = native.allocate_lock()
        self.lock.acquire()
        self.arrived: list[Any] = []

    def pass_through(self, value: Any = None) -> Any:
        self.arrived.append(value)
        with self.lock:
            return value

    def open(self) -> None:
        if self.lock.locked():
            self.lock.release()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture(scope="session")
def tls_contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A server's, and a client's that asks nobody who that is."""
    from fibril import ssl

    trustme = pytest.importorskip("trustme")
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    certificate = trustme.CA().issue_cert("example.invalid")
    certificate.private_key_and_cert_chain_pem.write_to_path(file)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client


# ---- fresh interpreters ----


class Finished(NamedTuple):
    """A program that has ended."""

    status: int
    out: str
    err: str


class Interpreter:
    """Runs programs that may take the interpreter down with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, program: str, *options: str, limit_s: float = LIMIT_S, **env: str) -> Finished:
        """Run a program to its end, with a limit; its lines are those of program.py."""
        path = self.folder / "program.py"
        path.write_text(textwrap.dedent(program).lstrip("\n"), encoding="utf-8")
        command = [sys.executable, "-X", "faulthandler", *options, str(path)]
        environ = {**os.environ, "PYTHONPATH": PACKAGE_PARENT, **env}
        if SLOWDOWN > 1:  # the watchdog's default is for real machines
            environ.setdefault("FIBRIL_BLOCKING_LIMIT", "0")
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=limit_s, check=False
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def out(self, program: str, *options: str, **env: str) -> str:
        """What a program prints that must end with status 0 and say nothing on stderr."""
        done = self.run(program, *options, **env)
        assert (done.status, done.err) == (0, ""), f"{done.status}\n{done.out}\n{done.err[-4000:]}"
        return done.out


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    return Interpreter(tmp_path)


# ---- leaks ----


def collect() -> None:
    """Collect, and let the hub unwind what was handed to it."""
    for _ in range(3):
        gc.collect()
        fibril.sleep(0)
    gc.collect()


def _types() -> Counter[str]:
    kinds = map(type, gc.get_objects())
    return Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)


def pytest_collection_finish() -> None:
    # Tests collect often; what pytest itself has made by now need not be looked at each time.
    gc.collect()
    gc.freeze()


class Growth:
    """Calls a function many times, and refuses more objects, stacks or memory than before."""

    def refuse(self, function: Callable[[], object], times: int = 100) -> None:
        def repeat() -> None:
            for _ in range(times):
                function()
            collect()

        fibril.get_hub().call_soon(int)  # from now on its fiber has a stack
        repeat()
        found = ""
        for _ in range(4):  # caches fill up once or twice, a leak grows each time
            found = self._find(repeat, times // 2)
            if not found:
                return
        pytest.fail(f"{times} calls left behind: {found}")

    @staticmethod
    def _find(repeat: Callable[[], object], tolerated: int) -> str:
        stacks = fibril.get_hub().statistics()["stacks_live"]
        types = _types()
        repeat()
        grown = {name: n for name, n in (_types() - types).items() if n >= tolerated}
        grown_stacks = fibril.get_hub().statistics()["stacks_live"] - stacks
        if grown or grown_stacks > 0:
            return f"{grown} and {grown_stacks} stacks"
        del types
        blocks = sys.getallocatedblocks()
        repeat()
        blocks = sys.getallocatedblocks() - blocks
        return f"{blocks} blocks of memory" if blocks >= tolerated else ""


@pytest.fixture
def growth() -> Growth:
    if os.environ.get("FIBRIL_SANITIZER") == "valgrind":
        pytest.skip("hundreds of calls and collections, counted: valgrind finds no more in them")
    return Growth()
