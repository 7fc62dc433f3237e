"""Events: whoever subscribes is told of the patch and of the monitor, and may refuse a patch."""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from fibril import events
from fibril._hub import memory
from tests.conftest import PACKAGE_PARENT, Interpreter

NOTE = """
    import sys
    from fibril import events
    told = []
    def note(event):
        told.append((type(event).__name__, getattr(event, "module_name", None)))
    events.subscribers.append(note)
    from fibril import monkey
"""
NO_ZOPE = "import sys; sys.modules['zope'] = sys.modules['zope.event'] = None\n"


def run(interpreter: Interpreter, text: str, before: str = "") -> list[str]:
    program = before + textwrap.dedent(NOTE) + textwrap.dedent(text)
    return interpreter.out(program).splitlines()


@pytest.fixture
def subscribers() -> Iterator[list[object]]:
    told: list[object] = []
    events.subscribers.append(told.append)
    yield told
    events.subscribers.remove(told.append)


@pytest.mark.parametrize("before", ["", NO_ZOPE])
def test_subscribers_are_told_of_the_whole_patch_in_gevents_order(
    interpreter: Interpreter, before: str
) -> None:
    lines = run(
        interpreter,
        """
        print(monkey.patch_all(colour="red"), monkey.patch_all(colour="red"), monkey.patch_time())
        for line in told:
            print(*line)
    """,
        before,
    )
    modules = [
        "os",
        "signal",
        "_thread",
        "threading",
        "time",
        "socket",
        "select",
        "selectors",
        "ssl",
        "subprocess",
        "queue",
    ]
    begins = [f"GeventWillPatchModuleEvent {name}" for name in modules]
    ends = [f"GeventDidPatchModuleEvent {name}" for name in modules]
    assert lines[:2] == ["True None None", "GeventWillPatchAllEvent None"]
    last = ["GeventDidPatchBuiltinModulesEvent None", "GeventDidPatchAllEvent None"]
    assert lines[-2:] == last
    assert [line for line in lines[2:-2] if line in begins] == begins
    assert [line for line in lines[2:-2] if line in ends] == ends
    assert len(lines) == 4 + 2 * len(modules)


def test_an_event_says_what_is_patched_and_with_what(interpreter: Interpreter) -> None:
    lines = run(
        interpreter,
        """
        def tell(event):
            if isinstance(event, events.GeventWillPatchAllEvent):
                print(event.will_patch_module("ssl"), event.will_patch_module("os"))
                print(event.patch_all_arguments["ssl"], event.patch_all_kwargs)
            elif event.__class__ is events.GeventWillPatchModuleEvent:
                import time
                print(event.target is time, event.source.__name__, event.target_item_names[0])
                print(time.sleep is monkey.get_original("time", "sleep"))
            elif event.__class__ is events.GeventDidPatchModuleEvent:
                print(time_is_patched())
        def time_is_patched():
            return monkey.is_object_patched("time", "sleep")
        events.subscribers.append(tell)
        off = dict.fromkeys(
            "os signal thread socket select ssl subprocess queue".split(), 0)
        monkey.patch_all(**off, colour="red")
    """,
    )
    assert lines == ["0 0", "0 {'colour': 'red'}", "True fibril.time sleep", "True", "True"]


def test_who_raises_do_not_patch_is_obeyed(interpreter: Interpreter) -> None:
    lines = run(
        interpreter,
        """
        import warnings
        warnings.simplefilter("ignore")  # of other arguments than before
        refused = {"select", "threading", "ssl"}
        def refuse(event):
            if getattr(event, "module_name", "all") in refused:
                raise events.DoNotPatch
            if getattr(event, "module_name", "") == "time" and "Will" in type(event).__name__:
                event.target_item_names.remove("sleep")
        events.subscribers.append(refuse)
        import _thread, select, selectors, ssl, threading, time
        before = [_thread.get_ident, select.select, ssl.SSLSocket.read, threading.Lock, time.sleep]
        def now():
            return [_thread.get_ident, select.select, ssl.SSLSocket.read, threading.Lock,
                    time.sleep]
        print(monkey.patch_all(), now() == before, monkey.is_module_patched("socket"))
        print(monkey.is_module_patched("selectors"), monkey.is_module_patched("_thread"))
        print(monkey.patch_thread(), now() == before)
        refused.clear()
        print(monkey.patch_ssl(), ssl.SSLSocket.read is before[2], monkey.patch_select())
        refused.add("all")
        print(monkey.patch_all(sys=True))
        refused.add("math")
        import cmath, math
        refused.add("math")
        print(monkey.patch_module(math, cmath, ["pi"]))
    """,
    )
    assert lines == [
        "True True True",
        "True False",
        "None True",
        "True False True",
        "False",
        "False",
    ]


def test_what_a_subscriber_raises_ends_the_patch_where_it_is(interpreter: Interpreter) -> None:
    lines = run(
        interpreter,
        """
        from time import sleep
        def fail(event):
            if getattr(event, "module_name", "") == "socket":
                raise KeyError("mine")
        events.subscribers.append(fail)
        try:
            monkey.patch_all()
        except KeyError as error:
            print(error)
        import time
        print(sleep is time.sleep, monkey.is_module_patched("socket"))
        events.subscribers.remove(fail)
        print(monkey.patch_all(), monkey.is_module_patched("socket"))
    """,
    )
    assert lines == ["'mine'", "True False", "True True"]


@pytest.mark.parametrize("is_zip", [False, True])
def test_packages_name_functions_in_their_metadata(
    interpreter: Interpreter, tmp_path: Path, is_zip: bool
) -> None:
    package = tmp_path / "site"
    info = package / "plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(
        "[gevent.plugins.monkey.will_patch_module]\nx = plugin:tell\n"
        "[gevent.plugins.hub.periodic_monitor_thread_started]\ny = plugin:tell\n",
        "utf-8",
    )
    (package / "plugin.py").write_text("def tell(event): print(type(event).__name__)\n", "utf-8")
    place = package
    if is_zip:
        import shutil

        place = Path(shutil.make_archive(str(tmp_path / "plugin"), "zip", package))
    out = interpreter.out(
        "import fibril; from fibril import monkey\nmonkey.patch_time()\n"
        "fibril.get_hub().start_periodic_monitoring_thread()\n",
        PYTHONPATH=f"{PACKAGE_PARENT}:{place}",
    )
    assert out == "GeventWillPatchModuleEvent\nPeriodicMonitorThreadStartedEvent\n"


def test_without_such_packages_nothing_looks_for_them(interpreter: Interpreter) -> None:
    text = "import sys; from fibril import monkey; monkey.patch_time()"
    out = interpreter.out(f"{text}; print('importlib.metadata' in sys.modules)", "-S")
    assert out == "False\n"


def test_a_blocked_loop_is_told_of_and_its_report_may_be_changed(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import time, fibril
        from fibril import native
        from fibril.config import config
        from fibril.events import EventLoopBlocked, subscribers
        told = []
        def tell(event):
            told.append(event)
            event.info[:] = ["a line of mine"]
            1 // 0
        subscribers.append(tell)
        def hog():
            before, began = len(told), time.monotonic()
            while len(told) == before and time.monotonic() - began < 20:
                native.sleep(0.001)
            native.sleep(0.05)
        def other_hog():
            hog()
        config.max_blocking_time = 0.05
        fibril.get_hub()
        for fn in (hog, other_hog):
            task = fibril.spawn(fn)
            fibril.spawn(fibril.sleep, 0.001)
            task.join()
            config.print_blocking_reports = False
            event = told[-1]
            print(type(event).__name__, event.greenlet is task, event.blocking_time >= 0.05,
                  event.hub is fibril.get_hub())
        print(len(told))
    """)
    assert done.out.splitlines() == ["EventLoopBlocked True True True"] * 2 + ["2"]
    assert done.err.count("a line of mine") == 1
    assert done.err.count("ZeroDivisionError") == 2


def test_memory_is_told_of_when_it_is_too_much_grows_and_is_less_again(
    monkeypatch: pytest.MonkeyPatch, subscribers: list[object]
) -> None:
    used = iter([100, 200, 250, 240, 260, 100, 100, 300])
    monkeypatch.setattr(memory, "look", lambda: memory.MemoryInfo(next(used), 0, 0))
    monkeypatch.setattr(memory, "max_bytes", 150)
    watch = memory.MemoryWatch()
    told = [watch.look() for _ in range(8)]
    names = [type(event).__name__ if event else None for event in told]
    above, below = "MemoryUsageThresholdExceeded", "MemoryUsageUnderThreshold"
    assert names == [None, above, above, None, above, below, None, above]
    assert subscribers == [event for event in told if event]
    assert repr(told[1]).startswith(f"<{above} used=200 max=150 details=MemoryInfo(rss=200")
    assert told[5].max_memory_usage == 260  # type: ignore[attr-defined]
    monkeypatch.setattr(memory, "max_bytes", None)
    assert watch.look() is None


def test_the_process_knows_its_memory() -> None:
    info = memory.look()
    assert 1 << 20 < info.rss < info.vms
    assert 0 <= info.uss <= info.rss * 1.1


def test_a_limit_in_the_settings_starts_the_looks(interpreter: Interpreter) -> None:
    out = interpreter.out(
        """
        import fibril
        from fibril._hub import memory
        from fibril.event import Event
        from fibril.events import subscribers
        memory.PERIOD_MIN_S = 0.01
        told = Event()
        subscribers.append(lambda event: type(event).__name__.startswith("Memory") and told.set())
        from fibril.config import config
        config.memory_monitor_period = 0.01
        config.max_memory_usage = "1.5MB"
        print(told.wait(20), memory.max_bytes, config.max_memory_usage)
        monitor = fibril.get_hub().periodic_monitoring_thread
        print(monitor.can_monitor_memory_usage(), monitor.monitor_memory_usage() is None)
        try:
            config.max_memory_usage = "a lot"
        except ValueError as error:
            print(error)
    """,
        GEVENT_MONITOR_MEMORY_MAX="2G",
    )
    first, second, last = out.splitlines()
    assert first == "True 1572864 1.5MB"
    assert second.startswith("True")
    assert "'a lot' as a number of bytes" in last


def test_interfaces_are_there_where_zope_is(interpreter: Interpreter) -> None:
    pytest.importorskip("zope.interface")
    out = interpreter.out("""
        import sys
        from fibril import compat
        compat.install()
        from gevent import events
        print("zope.interface" in sys.modules)
        for name in events.__all__:
            if name.startswith("I") and name[1].isupper():
                interface = getattr(events, name)
                cls = getattr(events, name[1:], None)
                if cls is not None:
                    assert interface.implementedBy(cls), name
                assert interface.__name__ == name and interface.__module__ == "gevent.events"
        from gevent.events import IGeventDidPatchEvent, IGeventPatchEvent
        event = events.GeventDidPatchAllEvent({}, {})
        print(IGeventDidPatchEvent.providedBy(event), IGeventPatchEvent.providedBy(event))
        print(events.IGeventWillPatchEvent.providedBy(event))
        from zope.event import subscribers
        print(subscribers is events.subscribers)
    """)
    assert out == "False\nTrue True\nFalse\nTrue\n"


def test_without_zope_there_are_no_interfaces(interpreter: Interpreter) -> None:
    out = interpreter.out(
        NO_ZOPE
        + textwrap.dedent("""
        from fibril import compat
        compat.install()
        from gevent import events
        print([name for name in events.__all__ if name[0] == "I"])
        try:
            events.IEventLoopBlocked
        except AttributeError as error:
            print(error)
    """)
    )
    assert out.splitlines()[0] == "[]"
    assert "install zope.interface" in out


def test_this_interpreters_path_is_read_once() -> None:
    assert sys.path  # what the next calls compare
    from fibril._hub import events as publishing

    publishing._plugins("gevent.plugins.none")
    look = publishing._last_look
    publishing._plugins("gevent.plugins.none")
    assert publishing._last_look is look
