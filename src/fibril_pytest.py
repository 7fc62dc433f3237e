"""fibril_pytest: what pytest loads of fibril, in every session where that is installed.

The idea: a session that has nothing to do with fibril must not notice, so nothing is imported here
but pytest: fibril takes 23 ms, a fifth of what pytest takes to start. (Hence a module beside the
package: one inside would import it.) The hooks that look at tests are registered when somebody
imports fibril, which then calls begin().

Invariant: threads of pytest-xdist's are native ones, because they block in reading pipes: as tasks
they would keep each other waiting. In a worker the one there is is older than the patch. The
controller, which runs no test, is not patched from here.
Do not add: what can be told without pytest; that is in fibril.testing.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

if TYPE_CHECKING:
    import argparse

    from fibril.testing import SimClock

__all__ = ["LeftRunningWarning", "UnseenDeathWarning", "begin", "fibril_clock"]


class UnseenDeathWarning(pytest.PytestWarning):
    """In a test a task died of an exception that nobody has looked at."""


class LeftRunningWarning(pytest.PytestWarning):
    """A test has left tasks running."""


class _Rule(NamedTuple):
    """Something that tests should not do, and what is said of it."""

    setting: str
    what: str
    default: str
    warning: type[Warning]
    text: str

    @property
    def marker(self) -> str:
        return f"{self.setting}_ok"


_UNSEEN = _Rule(
    "fibril_unseen",
    "lets a task die of an exception that nobody looks at",
    "fail",
    UnseenDeathWarning,
    "{}\nNobody has looked at that: use get(), exception, successful() or joinall(..., "
    "raise_error=True), or mark the test with fibril_unseen_ok.",
)
_LEFT_RUNNING = _Rule(
    "fibril_left_running",
    "leaves tasks running",
    "warn",
    LeftRunningWarning,
    "tasks are still running that this test has started:\n{}\n"
    "Join or kill them, or mark the test with fibril_left_running_ok.",
)
_CHOICE = ("fail", "warn", "ignore")
_configs: list[pytest.Config] = []  # of the sessions that there are: one may run inside a test


# ---- settings ----


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and settings."""
    what = "patch the standard library, by fibril.monkey.patch_all(), before tests are imported"
    parser.getgroup("fibril").addoption("--fibril-patch", action="store_true", help=what)
    parser.addini("fibril_patch", f"{what}: true or false", type="bool", default=False)
    for rule in (_UNSEEN, _LEFT_RUNNING):
        what = f"{', '.join(_CHOICE)}: what to do with a test that {rule.what} ({rule.default})"
        parser.addini(rule.setting, what, default=rule.default)


def pytest_configure(config: pytest.Config) -> None:
    """Declare markers, and begin at once where fibril is imported already."""
    for rule in (_UNSEEN, _LEFT_RUNNING):
        config.addinivalue_line("markers", f"{rule.marker}(reason): the test {rule.what}")
        if config.getini(rule.setting) not in _CHOICE:
            raise pytest.UsageError(f"{rule.setting} must be one of: {', '.join(_CHOICE)}")
    if _is_patch_wanted(config):  # late, where a conftest loads us, or xdist needs no workers
        _patch(config.option)
    _configs.append(config)
    if "fibril" in sys.modules:
        begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Look at tests no longer."""
    if config in _configs:
        _configs.remove(config)
    if not _configs and "fibril.testing.unseen" in sys.modules:
        sys.modules["fibril.testing.unseen"].unwatch()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say whether the standard library is patched."""
    has_workers = _has_workers(config.option)
    if _is_patch_wanted(config):
        where = " in the workers" if has_workers else ""
        return f"fibril: the standard library is patched{where}"
    if has_workers and _are_threads_patched():
        return "fibril: the workers are not patched: use --fibril-patch"
    return None


# ---- the patch ----


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Patch, before a conftest or a test is imported."""
    if _is_patch_wanted(early_config):
        _patch(early_config.known_args_namespace)


def _is_patch_wanted(config: pytest.Config) -> bool:
    options = (config.known_args_namespace, config.option)  # the first is what is known early
    is_option = any(getattr(each, "fibril_patch", False) for each in options)
    return is_option or bool(config.getini("fibril_patch"))


def _patch(options: argparse.Namespace) -> None:
    if _has_workers(options) and not _is_worker():
        return
    from fibril import monkey

    monkey.patch_all()


def _has_workers(options: argparse.Namespace) -> bool:
    """Do tests run in other processes, as far as pytest-xdist's options say? So do a worker's own,
    which are its controller's."""
    count = getattr(options, "numprocesses", None)
    if count == 0 or (count in ("auto", "logical") and options.usepdb):
        return False
    is_told = getattr(options, "distload", False) or getattr(options, "looponfail", False)
    return bool(count) or is_told or getattr(options, "dist", "no") != "no"


def _is_worker() -> bool:
    """Are we called by execnet, on behalf of pytest-xdist? Its variable in the environment says
    so to every program that a test starts, as well."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__") != "__channelexec__":
        frame = frame.f_back
    return frame.f_back is not None


def _are_threads_patched() -> bool:
    monkey = sys.modules.get("fibril.monkey")
    return monkey is not None and bool(monkey.is_module_patched("_thread"))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Let pytest-xdist live with the patch, whoever made it: a conftest may have."""
    if not _are_threads_patched():
        return
    if hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(_Worker(), "fibril-worker")
    elif _has_workers(session.config.option):
        _keep_threads_native()


def _keep_threads_native() -> None:
    """In a controller that is patched: each thread of execnet's blocks in reading."""
    from execnet import gateway_base

    from fibril import native
    from fibril.hub import get_hub

    def start(self: object, func: Any, args: tuple[Any, ...] = ()) -> None:
        native.start_new_thread(func, args)

    gateway_base.ThreadExecModel.start = start  # type: ignore[method-assign] # so it shall be
    get_hub().expect(1)  # they tell of what happens in the workers: we wait for that, and no test


class _Worker:
    """A patched worker of pytest-xdist: between tests execnet's thread wakes the main fiber, in a
    test it wakes nobody. So a test that can never go on is told so, as without workers."""

    def __init__(self) -> None:
        from fibril import native
        from fibril.hub import get_hub

        self._idle = native.idle_threads
        self._threads = set(_execnet_threads())
        self._hub = get_hub()
        self._hub.expect(1)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, Any]:
        self._idle |= self._threads
        self._hub.expect(-1)
        try:
            return (yield)
        finally:
            self._hub.expect(1)
            self._idle -= self._threads


def _execnet_threads() -> Iterator[int]:
    for ident, frame in sys._current_frames().items():
        outer: FrameType | None = frame
        while outer is not None:
            name = outer.f_globals.get("__name__", "")
            if name == "__channelexec__":  # the main thread: a test may be in it
                break
            if name == "execnet.gateway_base":
                yield ident
                break
            outer = outer.f_back


# ---- what tests do ----


def begin() -> None:
    """Look at tests from now on. Called when fibril is imported.

    Switches: never. Threads: any.
    """
    for config in _configs:
        if _watch(config) is None:
            config.pluginmanager.register(_Watch(), "fibril-watch")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """See to it that what a fixture starts is not taken for the test's, where it outlives that."""
    __tracebackhide__ = True  # not of interest to whoever sees a fixture fail
    if fixturedef.scope == "function":
        return (yield)
    watch = _watch(request.config)
    if watch is not None:
        with watch.left.not_ours():
            return (yield)
    try:
        return (yield)
    finally:
        watch = _watch(request.config)
        if watch is not None:  # it was the fixture that imported fibril
            watch.left.begin()


def _watch(config: pytest.Config) -> _Watch | None:
    return cast("_Watch | None", config.pluginmanager.get_plugin("fibril-watch"))


class _Watch:
    """Looks at each test: who died unseen in it, and who is left."""

    def __init__(self) -> None:
        from fibril.testing import left_running, unseen

        self._unseen = unseen
        unseen.watch()
        self.left = left_running.LeftRunning()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if _mode(_UNSEEN, item) == "ignore":
            self._unseen.unwatch()
        else:
            self._unseen.watch()
        self.left.begin()

    @pytest.hookimpl(wrapper=True, trylast=True)  # what is printed here is captured, too
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        try:
            yield
        except BaseException as error:
            __tracebackhide__ = True
            for text in self._complaints(item):
                error.add_note(text)
            raise
        complaints = list(self._complaints(item))
        if complaints:
            pytest.fail("\n\n".join(complaints), pytrace=False)

    def _complaints(self, item: pytest.Item) -> Iterator[str]:
        left = self.left.lines()  # first: it lets those end, or die, who are about to
        yield from _apply(_UNSEEN, item, self._unseen.take())
        yield from _apply(_LEFT_RUNNING, item, left)


def _mode(rule: _Rule, item: pytest.Item) -> str:
    """What to do with this test: one of _CHOICE."""
    may = item.get_closest_marker(rule.marker)
    return "ignore" if may else str(item.config.getini(rule.setting))


def _apply(rule: _Rule, item: pytest.Item, lines: list[str]) -> Iterator[str]:
    """The text that fails the test, if it shall."""
    mode = _mode(rule, item) if lines else "ignore"
    text = rule.text.format("\n".join(lines))
    if mode == "fail":
        yield text
    elif mode == "warn":
        try:
            item.warn(rule.warning(text))
        except Warning:  # a filter says that this is an error
            yield text


@pytest.fixture
def fibril_clock() -> Iterator[SimClock]:
    """Time that costs nothing: the test runs in a world of its own, a fibril.testing.SimClock.

    A test that sleeps, or waits with a timeout, does not wait: as soon as every task is parked, the
    clock jumps to the next deadline, and who has the same deadline runs in the order of asking.
    That holds for fibril.sleep(), Timeout and every timeout=, and for time.sleep() where it is
    patched (--fibril-patch); what is not patched waits for real. time.monotonic() and time.time()
    tell the real time: ask fibril_clock.now(), the seconds since the test began. Descriptors are
    ready when fibril_clock.feed() says so, and not by themselves. Where nothing can happen any
    more, the test gets LoopExit.

    When the test is over, tasks that wait for time or for a descriptor are ended. A test cannot
    have this clock while somebody else, a fixture of the whole session for example, waits for real
    time or for a descriptor: the error says who.

        def test_a_lease_ends_after_an_hour(fibril_clock):
            lease = Lease(seconds=3600)
            fibril_clock.advance(3599)
            assert lease.is_valid
            fibril_clock.advance(1)
            assert not lease.is_valid
    """
    from fibril.testing import SimClock
    from fibril.testing.left_running import let_others_run

    with SimClock() as clock:
        yield clock
        let_others_run()  # who was just started waits then, and not later in the real world
