"""coverage.py sees each line of interleaved fibers, and no other, by both of its cores.

The C tracer is told `concurrency = greenlet`: it asks the alias `greenlet` who runs, at each call
and return, and keeps a list of open calls for each. With greenlet 3.5.6 the lines and branches are
the same as here.
"""

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import Interpreter

pytest.importorskip("coverage", reason="coverage is not installed (dependency group test)")

MEASURED = """
from greenlet import getcurrent, greenlet
def ping(rounds):
    for number in range(rounds):
        if number % 2:
            got = note(other.switch(number))
        else:
            got = note(other.switch(-number))
        if got is None:
            raise AssertionError  # never
    return "ping"
def pong(number):
    seen = []
    while True:
        seen.append(number)
        if number < 0:
            number = note(one.switch("less"))
        elif number > 100:
            number = note(one.switch("much more"))  # never
        else:
            number = note(one.switch("more"))
            seen.clear()
def through_c(number):
    def key(value):
        note(main.switch(value))
        return -value
    return sorted(range(number), key=key)
def drive():
    assert note(one.switch(5)) == "ping"
    left, right = greenlet(through_c), greenlet(through_c)
    note(left.switch(2))
    note(right.switch(3))
    while left or right:
        note(left.switch())
        note(right.switch())
def note(value):
    return value
main = getcurrent()
one, other = greenlet(ping), greenlet(pong)
drive()
""".lstrip()

# Where each line went on; -n is into or out of the function (or module) that begins at n.
BRANCHES = [
    (-1, 1), (1, 2), (2, 11), (11, 22), (22, 27), (27, 35), (35, 37), (37, 38), (38, 39), (39, -1),
    (-2, 3), (3, 4), (3, 10), (4, 5), (4, 7), (5, 8), (7, 8), (8, 3), (10, -2),
    (-11, 12), (12, 13), (13, 14), (14, 15), (15, 16), (15, 17), (16, 13), (17, 20), (20, 21),
    (21, 13),
    (-22, 23), (23, 26), (26, -22), (-23, 24), (24, 25), (25, -23),
    (-27, 28), (28, 29), (29, 30), (30, 31), (31, 32), (32, 33), (32, -27), (33, 34), (34, 32),
    (-35, 36), (36, -35),
]  # fmt: skip

PROGRAM = """
    import json, runpy, sys
    from fibril import compat
    compat.install()
    import coverage
    measure = coverage.Coverage(
        data_file=None, config_file=False, include=["*/measured.py"],
        branch={branch}, concurrency=[{concurrency!r}],
    )
    measure.start()
    runpy.run_path({path!r})
    measure.stop()
    data = measure.get_data()
    [name] = data.measured_files()
    core = dict(measure.sys_info())["core"]
    print(json.dumps([core, sorted(data.lines(name)), sorted(data.arcs(name) or [])]))
"""

needs_monitoring = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12"
)


# The lines after a wait, or a switch, are right behind it: no call tells the tracer who runs.
PLAIN = """
import fibril
def waits():
    fibril.sleep(0.001)
    inner = 1
    try:
        event.wait()
        inner = 2
        fibril.sleep(9)
    except fibril.Timeout:
        inner = 3
    return inner
def switches():
    main.switch()
    inner = 1
    main.switch()
    inner = 2
event = fibril.event.Event()
main = fibril.getcurrent()
task = fibril.spawn(waits)
fibril.sleep(0.01)
first = 1
event.set()
fibril.sleep(0.001)
second = 2
task.kill(fibril.Timeout)
third = 3
fiber = fibril.Fiber(switches)
fiber.switch()
fourth = 4
fiber.switch()
fifth = 5
fiber.switch()
sixth = 6
""".lstrip()


class Measured:
    """What coverage found."""

    def __init__(self, core: str, lines: list[int], arcs: list[list[int]]) -> None:
        self.core = core
        self.lines = lines
        self.arcs = sorted((source, target) for source, target in arcs)


def measure(
    interpreter: Interpreter, core: str, concurrency: str, *, branch: bool, text: str = MEASURED
) -> Measured:
    path = interpreter.folder / "measured.py"
    path.write_text(text, encoding="utf-8")
    program = PROGRAM.format(branch=branch, concurrency=concurrency, path=str(path))
    return Measured(*json.loads(interpreter.out(program, COVERAGE_CORE=core)))


def executed_lines() -> list[int]:
    lines = MEASURED.splitlines()
    unseen = [n for n, line in enumerate(lines, 1) if "# never" in line or line.strip() == "else:"]
    return sorted(set(range(1, len(lines) + 1)) - set(unseen))


def test_the_c_tracer_sees_the_lines_of_each_fiber(interpreter: Interpreter) -> None:
    found = measure(interpreter, "ctrace", "greenlet", branch=False)
    assert found.core == "CTracer"
    assert found.lines == executed_lines()


@pytest.mark.parametrize("concurrency", ["greenlet", "gevent"])
def test_the_c_tracer_sees_the_lines_right_behind_a_wait(
    concurrency: str, interpreter: Interpreter
) -> None:
    found = measure(interpreter, "ctrace", concurrency, branch=False, text=PLAIN)
    assert found.core == "CTracer"
    assert found.lines == list(range(1, len(PLAIN.splitlines()) + 1))


def test_a_debugger_is_shown_no_call_at_a_wait(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import sys, fibril
        seen = []
        def trace(frame, event, arg):
            seen.append((event, frame.f_code.co_name))
            return trace
        def work():
            fibril.sleep(0)
        def work_traced():
            sys.settrace(trace)
            work()
            sys.settrace(None)
        fibril.joinall([fibril.spawn(work_traced), fibril.spawn(work)])
        print({name for _, name in seen})
    """)
    assert out == "{'work'}\n"


def test_the_c_tracer_sees_the_branches_of_each_fiber(interpreter: Interpreter) -> None:
    found = measure(interpreter, "ctrace", "greenlet", branch=True)
    assert found.core == "CTracer"
    assert found.arcs == sorted(BRANCHES)


@needs_monitoring
def test_monitoring_sees_the_lines_of_each_fiber(interpreter: Interpreter) -> None:
    found = measure(interpreter, "sysmon", "thread", branch=False)
    assert found.core == "SysMonitor"
    assert found.lines == executed_lines()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="sys.monitoring tells branches from 3.14 on")
def test_monitoring_sees_the_branches_of_each_fiber(interpreter: Interpreter) -> None:
    found = measure(interpreter, "sysmon", "thread", branch=True)
    assert found.core == "SysMonitor"
    taken = {(4, 5), (4, 7), (15, 16), (15, 17), (32, 33)}
    assert taken <= set(found.arcs)
    assert not {(8, 9), (17, 18)} & set(found.arcs)


def test_the_command_of_coverage_runs_a_program_under_the_alias(
    interpreter: Interpreter, tmp_path: Path
) -> None:
    """As people run it: `fibril run` has the alias in place before coverage asks for greenlet."""
    path = tmp_path / "measured.py"
    path.write_text(MEASURED, encoding="utf-8")
    (tmp_path / ".coveragerc").write_text("[run]\nconcurrency = greenlet\n", encoding="utf-8")
    program = f"""
        import os, sys
        from fibril import compat
        compat.install()
        from coverage.cmdline import main
        os.chdir({str(tmp_path)!r})
        assert main(["run", "measured.py"]) == 0
        assert main(["json", "-o", "out.json", "-q"]) == 0
    """
    interpreter.out(program, COVERAGE_CORE="ctrace")
    report = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["files"]["measured.py"]
    assert report["executed_lines"] == executed_lines()
    missing = [n for n, line in enumerate(MEASURED.splitlines(), 1) if "# never" in line]
    assert report["missing_lines"] == missing
