"""The watchdog: a fiber that keeps its thread from others is told of, once, while it does."""

import sys

import pytest

from fibril.hub import set_blocking_limit
from tests.conftest import Interpreter

# A fiber that goes on until it is told of, and a hub that notes it.
BEGIN = """
    import sys, time, fibril
    from fibril import native
    from fibril.hub import Hub, set_blocking_limit
    told = []
    class Noting(Hub):
        def report_blocking(self, fiber, seconds, frame):
            told.append((fiber, seconds, frame.f_code.co_name if frame else None))
    fibril._core.set_hub_class(Noting)
    fibril.get_hub()
    set_blocking_limit(0.05)
    def hog(limit_s=20, is_computing=False):
        began, before = time.monotonic(), len(told)
        while len(told) == before and time.monotonic() - began < limit_s:
            sum(range(1000)) if is_computing else native.sleep(0.001)
        return len(told) > before
    def other():
        fibril.sleep(0.001)
"""


def run(interpreter: Interpreter, program: str, *options: str, **env: str) -> str:
    return interpreter.out(BEGIN + program, *options, **env)


@pytest.mark.parametrize("is_computing", [True, False])
def test_who_keeps_the_thread_is_told_of_while_it_does(
    interpreter: Interpreter, is_computing: bool
) -> None:
    out = run(
        interpreter,
        f"""
    task = fibril.spawn(hog, is_computing={is_computing})
    fibril.spawn(other)
    print(task.get())
    fiber, seconds, function = told[0]
    print(fiber is task, 0.05 <= seconds < 20, function)
    """,
    )
    assert out == "True\nTrue True hog\n"


def test_the_main_fiber_is_watched_too(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
    fibril.spawn(other)
    print(hog(), told[0][0] is fibril.getcurrent())
    """,
    )
    assert out == "True True\n"


def test_each_place_is_told_once(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
    def elsewhere():
        return hog()
    for fn, limit_s in [(hog, 20), (hog, 0.3), (elsewhere, 20)]:
        task = fibril.spawn(fn, limit_s) if fn is hog else fibril.spawn(fn)
        fibril.spawn(other)
        print(task.get())
    """,
    )
    assert out == "True\nFalse\nTrue\n"


def test_who_keeps_nobody_waiting_is_not_told_of(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
    print(fibril.spawn(hog, 0.3).get())
    later = fibril.spawn_later(30, other)
    print(fibril.spawn(hog, 0.3).get())
    """,
    )
    assert out == "False\nFalse\n"


@pytest.mark.parametrize("reason", ["a timer that is due", "a descriptor"])
def test_whoever_waits_for_the_outside_counts(interpreter: Interpreter, reason: str) -> None:
    wait = {
        "a timer that is due": "fibril.spawn(fibril.sleep, 0.001)",
        "a descriptor": "fibril.spawn(pair[0].recv, 1)",
    }[reason]
    out = run(
        interpreter,
        f"""
    import os
    import fibril.socket
    pair = fibril.socket.socketpair()
    fibril.spawn(other)
    {wait}
    fibril.sleep(0)
    print(hog(), flush=True)
    os._exit(0)
    """,
    )
    assert out == "True\n"


def test_before_the_first_switch_nobody_has_kept_the_thread_for_long(
    interpreter: Interpreter,
) -> None:
    out = run(
        interpreter,
        """
    set_blocking_limit(2)
    fibril.spawn(other)
    print(hog(0.8))
    """,
    )
    assert out == "False\n"


def test_a_hub_that_sleeps_is_not_told_of_and_wakes_the_watch(interpreter: Interpreter) -> None:
    """After a while without work the watching thread sleeps for good."""
    out = run(
        interpreter,
        """
    fibril.spawn(fibril.sleep, 1).join()
    print(told)
    task = fibril.spawn(hog)
    fibril.spawn(other)
    print(task.get())
    """,
    )
    assert out == "[]\nTrue\n"


def test_the_watch_is_awake_whenever_a_hub_is(interpreter: Interpreter) -> None:
    """A hub may go on just when the watching thread is about to sleep for good."""
    out = run(
        interpreter,
        """
    import fibril._hub.watchdog
    set_blocking_limit(0.004)
    results = []
    for number in range(60):
        fibril._hub.watchdog._told.clear()
        fibril.sleep(0.0103 + number % 7 * 0.0011)
        task = fibril.spawn(hog)
        fibril.spawn(other)
        results.append(task.get())
    print(results == [True] * 60)
    """,
    )
    assert out == "True\n"


def test_another_threads_hub_is_watched(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
    import threading
    def work():
        fibril.get_hub()
        task = fibril.spawn(hog)
        fibril.spawn(other)
        print(task.get(), told[0][0] is task)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    """,
    )
    assert out == "True True\n"


def test_the_report_says_who_where_and_what_to_do(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import time, fibril
        from fibril.hub import set_blocking_limit
        set_blocking_limit(0.05)
        def pump():
            began = time.monotonic()
            while time.monotonic() - began < 0.5:
                pass
        task = fibril.spawn(pump)
        task.name = "pump"
        fibril.spawn(int)
        task.join()
    """)
    assert done.status == 0
    assert 'fibril: task "pump" (pump) has kept its thread for 0.' in done.err
    assert "fibril.sleep(0)" in done.err
    assert "fibril.offload" in done.err
    assert "in pump" in done.err
    assert done.err.count("has kept its thread") == 1


def test_it_can_be_turned_off(interpreter: Interpreter) -> None:
    program = """
    fibril.spawn(other)
    print(fibril.spawn(hog, 0.3).get(), len(__import__("os").listdir("/proc/self/task")))
    """
    off = "    set_blocking_limit(0)\n"
    assert run(interpreter, off + program) == "False 1\n"


def test_the_environment_sets_the_limit(interpreter: Interpreter) -> None:
    program = "from fibril.hub import set_blocking_limit\nprint(set_blocking_limit(0))"
    assert interpreter.out(program, FIBRIL_BLOCKING_LIMIT="2.5") == "2.5\n"
    assert interpreter.out(program, FIBRIL_BLOCKING_LIMIT="0") == "0.0\n"
    for wrong in ("soon", "-1", "nan"):
        done = interpreter.run(program, FIBRIL_BLOCKING_LIMIT=wrong)
        assert done.out == "1.0\n"
        assert f"FIBRIL_BLOCKING_LIMIT='{wrong}' is ignored" in done.err


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
def test_a_limit_that_is_no_time_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="cannot watch for"):
        set_blocking_limit(wrong)
    with pytest.raises(TypeError):
        set_blocking_limit("soon")  # type: ignore[arg-type]


def test_a_report_that_fails_is_told_and_harms_nobody(interpreter: Interpreter) -> None:
    done = interpreter.run(
        BEGIN
        + """
    def fail(fiber, seconds, frame):
        told.append(None)
        raise ValueError("a bad report")
    fibril.get_hub().report_blocking = fail
    task = fibril.spawn(hog)
    fibril.spawn(other)
    print(task.get())
    """
    )
    assert (done.status, done.out) == (0, "True\n")
    assert "ValueError: a bad report" in done.err


def test_a_fork_finds_no_thread_of_the_watchdogs(interpreter: Interpreter) -> None:
    """CPython warns of a fork with threads from 3.12 on."""
    out = run(
        interpreter,
        """
    import os
    def count():
        return len(os.listdir("/proc/self/task"))
    fibril.spawn(other).join()
    print(count(), flush=True)
    pid = os.fork()
    if pid == 0:
        counts = [count()]
        fibril.get_hub()
        task = fibril.spawn(hog)
        fibril.spawn(other)
        print(counts, task.get(), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    task = fibril.spawn(hog)
    fibril.spawn(other)
    print(task.get())
    """,
        "-W",
        "error",
    )
    assert out == "2\n[1] True\nTrue\n"


def test_a_report_that_hangs_keeps_neither_a_fork_nor_the_exit(interpreter: Interpreter) -> None:
    options = ["-W", "ignore"] if sys.version_info >= (3, 12) else []
    out = run(
        interpreter,
        """
    import os
    def hang(fiber, seconds, frame):
        told.append(None)
        native.sleep(1000)
    fibril.get_hub().report_blocking = hang
    task = fibril.spawn(hog)
    fibril.spawn(other)
    print(task.get(), flush=True)
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """,
        *options,
    )
    assert out == "True\n7\n"


def test_it_may_be_turned_off_and_on_while_it_watches(interpreter: Interpreter) -> None:
    out = run(
        interpreter,
        """
    for limit_s, expected in [(0, False), (0.02, True), (0, False)]:
        set_blocking_limit(limit_s)
        namespace = {"hog": hog}
        place = compile("def fresh(limit_s):\\n    return hog(limit_s)", f"file {limit_s}", "exec")
        exec(place, namespace)
        task = fibril.spawn(namespace["fresh"], 20 if expected else 0.3)
        fibril.spawn(other)
        print(task.get() is expected)
    """,
    )
    assert out == "True\nTrue\nTrue\n"
