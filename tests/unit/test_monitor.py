"""PeriodicMonitor: functions that look at a hub from a thread of their own."""

import time

import pytest

from fibril import get_hub, native
from fibril.event import Event
from tests.conftest import Interpreter


def test_each_function_is_called_with_the_hub_again_and_again(fresh: None) -> None:
    monitor, told, calls = get_hub().start_periodic_monitoring_thread(), Event(), []
    assert get_hub().start_periodic_monitoring_thread() is monitor
    assert get_hub().periodic_monitoring_thread is monitor

    def note(hub: object) -> None:
        calls.append((hub, native.get_ident()))
        if len(calls) == 3:
            told.set()

    monitor.add_monitoring_function(note, 0.005)
    assert monitor.monitoring_functions() == [note]
    assert told.wait(20)
    monitor.add_monitoring_function(note, None)
    assert monitor.monitoring_functions() == []
    assert {hub for hub, _ in calls} == {get_hub()}
    assert native.get_ident() not in {ident for _, ident in calls}


def test_it_looks_at_a_hub_that_is_kept_by_a_fiber(fresh: None) -> None:
    calls: list[object] = []
    monitor = get_hub().start_periodic_monitoring_thread()
    monitor.add_monitoring_function(calls.append, 0.005)
    began = time.monotonic()
    while not calls and time.monotonic() - began < 20:
        pass
    monitor.kill()
    assert calls


def test_one_that_fails_is_told_of_and_the_others_go_on(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, failures = Event(), []
    monkeypatch.setattr("sys.excepthook", lambda *error: failures.append(error[0]))
    monitor = get_hub().start_periodic_monitoring_thread()
    monitor.add_monitoring_function(lambda hub: 1 // 0, 0.005)
    monitor.add_monitoring_function(lambda hub: failures and told.set(), 0.01)
    assert told.wait(20)
    monitor.kill()
    assert failures[0] is ZeroDivisionError


def test_what_cannot_be_called_now_and_then_is_refused(fresh: None) -> None:
    monitor = get_hub().start_periodic_monitoring_thread()
    for period in (0, -1):
        with pytest.raises(ValueError, match="every"):
            monitor.add_monitoring_function(print, period)
    with pytest.raises(ValueError, match="not callable"):
        monitor.add_monitoring_function(1, 1)  # type: ignore[arg-type]
    monitor.add_monitoring_function(print, None)
    assert monitor.monitoring_functions() == []


def test_a_dead_end_is_told_although_somebody_looks(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import fibril
        from fibril.event import Event
        monitor = fibril.get_hub().start_periodic_monitoring_thread()
        monitor.add_monitoring_function(lambda hub: None, 1000)
        import time
        time.sleep(0.2)  # until it sleeps
        try:
            Event().wait()
        except fibril.LoopExit:
            print("told")
    """)
    assert out == "told\n"


def test_it_begins_anew_in_the_child_of_a_fork_and_ends_with_the_process(
    interpreter: Interpreter,
) -> None:
    out = interpreter.out(
        """
        import os, fibril
        from fibril.event import Event
        told = Event()
        monitor = fibril.get_hub().start_periodic_monitoring_thread()
        monitor.add_monitoring_function(lambda hub: told.set(), 0.01)
        print(told.wait(20), flush=True)
        pid = os.fork()
        if pid == 0:
            told.clear()
            print(told.wait(20), flush=True)
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
    """,
        "-W",
        "ignore",
    )
    assert out == "True\nTrue\n0\n"


def test_it_does_not_keep_its_hub(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import gc, threading, time, weakref, fibril
        def work():
            global hub
            hub = weakref.ref(fibril.get_hub())
            monitor = fibril.get_hub().start_periodic_monitoring_thread()
            monitor.add_monitoring_function(lambda hub: None, 0.01)
            time.sleep(0.05)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        for _ in range(500):
            gc.collect()
            if hub() is None:
                break
            time.sleep(0.01)
        print(hub())
    """)
    assert out == "None\n"


def test_a_fiber_may_ask_not_to_be_told_of(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import time, fibril
        from fibril.hub import set_blocking_limit
        set_blocking_limit(0.05)
        monitor = fibril.get_hub().start_periodic_monitoring_thread()
        def hog():
            monitor.ignore_current_greenlet_blocking()
            began = time.monotonic()
            while time.monotonic() - began < 0.3:
                pass
        def other_hog():
            monitor.ignore_current_greenlet_blocking()
            monitor.monitor_current_greenlet_blocking()
            began = time.monotonic()
            while time.monotonic() - began < 0.3:
                pass
        for fn in (hog, other_hog):
            task = fibril.spawn(fn)
            fibril.spawn(int)
            task.join()
    """)
    assert done.status == 0
    assert "in other_hog" in done.err
    assert "in hog" not in done.err
