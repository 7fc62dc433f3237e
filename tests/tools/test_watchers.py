"""Who looks at a running program from the side: faulthandler, py-spy, pdb, perf's trampolines."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Interpreter

# ---- faulthandler ----


def test_faulthandler_shows_the_fibers_frames_and_no_others(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import faulthandler, fibril
        def inner():
            faulthandler.dump_traceback()
        def outer():
            sorted([1], key=lambda item: inner())
        fibril.Fiber(outer).switch()
    """)
    assert [line.strip() for line in done.err.splitlines()[1:]] == [
        f'File "{interpreter.folder}/program.py", line {line} in {name}'
        for line, name in ((3, "inner"), (5, "<lambda>"), (5, "outer"))
    ]


def test_faulthandlers_watchdog_shows_the_fiber_that_hangs(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import faulthandler, os, fibril
        def hang(readable):
            faulthandler.dump_traceback_later(0.01, exit=True)
            while True: os.read(readable, 1)  # for ever: the watchdog ends the process
        readable, writable = os.pipe()
        fibril.spawn(hang, readable).get()
    """)
    assert done.status == 1
    assert "Timeout" in done.err
    assert re.search(r"program.py\", line [34] in hang\n", done.err), done.err
    assert "<module>" not in done.err


@pytest.mark.parametrize("end", ["faulthandler._sigsegv()", "os.abort()", "ctypes.string_at(0)"])
def test_a_fatal_error_in_a_fiber_shows_its_line(interpreter: Interpreter, end: str) -> None:
    done = interpreter.run(f"""
        import ctypes, faulthandler, os, fibril
        def die():
            fibril.sleep(0)
            {end}
        parked = [fibril.spawn(fibril.sleep, 9) for _ in range(3)]
        fibril.spawn(die).get()
    """)
    assert done.status in (-signal.SIGSEGV, -signal.SIGABRT)
    assert "Fatal Python error: " in done.err
    assert 'program.py", line 4 in die\n' in done.err


def test_a_fatal_error_in_another_thread_shows_the_fibers_of_both(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import faulthandler, threading, fibril
        def die():
            faulthandler._sigabrt()
        def beside():
            fibril.spawn(die).get()
        def wait(thread):
            fibril.get_hub().expect(1)
            thread.join()
        thread = threading.Thread(target=beside)
        fibril.Fiber(lambda: (thread.start(), wait(thread))).switch()
    """)
    assert done.status == -signal.SIGABRT
    assert 'program.py", line 3 in die\n' in done.err
    assert 'program.py", line 10 in <lambda>\n' in done.err
    assert "<module>" not in done.err


@pytest.mark.skipif(sys.version_info < (3, 14), reason="faulthandler dumps C stacks from 3.14 on")
def test_faulthandlers_c_stack_of_a_fiber_ends(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import faulthandler, fibril
        fibril.Fiber(faulthandler.dump_c_stack).switch()
        print("on")
    """)
    assert (done.status, done.out) == (0, "on\n")
    assert "_core" in done.err
    assert "truncated" not in done.err


# ---- py-spy ----

SPIED = """
    import ctypes, os, subprocess, fibril
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1 & (2**64 - 1)), 0, 0, 0)  # any may look
    def look():
        command = [{py_spy!r}, "dump", "--pid", str(os.getpid()), *{options!r}]
        done = subprocess.run(command, capture_output=True, text=True)
        print(done.stdout, done.stderr)
    def outer():
        fibril.sleep(0)
        sorted([1], key=lambda item: look())
    parked = fibril.spawn(fibril.sleep, 9)
    fibril.spawn(outer).get()
"""
STACK = [("look", "5"), ("<lambda>", "9"), ("outer", "9")]


def spy(interpreter: Interpreter, *options: str) -> str:
    py_spy = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if py_spy is None:
        pytest.skip("py-spy is not installed (dependency group test)")
    out = interpreter.out(SPIED.format(py_spy=py_spy, options=options))
    for reason in ("Permission", "Operation not permitted", "Failed to find python version"):
        if reason in out:
            pytest.skip(f"py-spy cannot look at this Python here: {out.strip()[-300:]}")
    return out


def test_py_spy_shows_the_frames_of_the_running_fiber(interpreter: Interpreter) -> None:
    out = spy(interpreter)
    frames = re.findall(r"^    (?:\S+\.)?(\S+) \((?:.*/)?([\w.]+):(\d+)\)", out, re.MULTILINE)
    assert [(name, line) for name, file, line in frames if file == "program.py"] == STACK, out
    assert frames[-1] == ("outer", "program.py", "9")


def test_py_spy_walks_the_native_stack_of_a_fiber_to_its_end(interpreter: Interpreter) -> None:
    out = spy(interpreter, "--native")
    ours = re.findall(r"^    (?:\S+\.)?(\S+) \((?:.*/)?program.py:(\d+)\)", out, re.MULTILINE)
    assert ours == STACK, out


# ---- profiling.sampling ----


@pytest.mark.skipif(sys.version_info < (3, 15), reason="profiling.sampling is new in 3.15")
def test_each_sample_of_the_profiler_comes_to_the_fibers_end(interpreter: Interpreter) -> None:
    """The profiler refuses a sample that does not come to the sentinel at the end of the chain."""
    out = interpreter.out("""
        import os, fibril
        from _remote_debugging import RemoteUnwinder
        def look():
            unwinder = RemoteUnwinder(os.getpid())
            samples = [unwinder.get_stack_trace() for _ in range(50)]
            return {tuple(frame.funcname for frame in sample[0].threads[0].frame_info)
                    for sample in samples}
        def outer():
            fibril.sleep(0)
            return look()
        print(fibril.Fiber(lambda: outer()).switch(), fibril.spawn(outer).get())
    """)
    stacks = [("<listcomp>", "look", "outer", "<lambda>"), ("look", "outer", "<lambda>")]
    assert out.strip() in [f"{ {stack} } { {stack[:-1]} }" for stack in stacks]


# ---- pdb ----


def test_pdb_steps_over_a_switch_as_over_a_call(interpreter: Interpreter) -> None:
    path = interpreter.folder / "debugged.py"
    path.write_text(
        """
import fibril
main = fibril.getcurrent()
def work(value):
    value += 1
    value += main.switch(value)
    return value
fiber = fibril.Fiber(work)
print("got", fiber.switch(1))
print("end", fiber.switch(5))
""",
        encoding="utf-8",
    )
    commands = ["break work", "continue", "next", "next", "next", "p value", "where", "next"]
    done = subprocess.run(
        [sys.executable, "-m", "pdb", str(path)],
        input="\n".join([*commands, "continue", "quit", ""]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=interpreter.folder,
    )
    at = re.findall(r"debugged.py\((\d+)\)(\S*?)\(?\)?(?:->\S+)?\n", done.stdout)
    stops = [line for line, _ in at]
    assert stops[:5] == ["2", "5", "6", "7", "7"], done.stdout
    assert "got 2" in done.stdout
    assert "(Pdb) 7\n" in done.stdout
    assert "end 7" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_breakpoint_in_a_task_has_the_tasks_stack(interpreter: Interpreter) -> None:
    path = interpreter.folder / "debugged.py"
    path.write_text(
        """
import fibril
def inner(number):
    fibril.sleep(0)
    breakpoint()
    return number
def outer(number):
    return inner(number)
print(sum(task.get() for task in [fibril.spawn(outer, n) for n in range(3)]))
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(path)],
        input="p number\nup\np number\ncontinue\n" + "p number\ncontinue\n" * 2,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # The last prompt's line ends with what the program itself prints.
    assert re.findall(r"\(Pdb\) (\d)\n", done.stdout) == ["0", "0", "1", "2", "3"]


# ---- perf ----


@pytest.mark.skipif(sys.version_info < (3, 12), reason="perf's trampolines are new in 3.12")
def test_fibers_switch_below_perfs_trampolines(interpreter: Interpreter) -> None:
    """Each Python call goes through a piece of machine code made for it, on the fiber's stack."""
    out = interpreter.out("""
        import os, sys, fibril
        sys.activate_stack_trampoline("perf")
        main = fibril.getcurrent()
        def leaf(number): return main.switch(number)
        def work(number): return leaf(number) + 1
        fibers = [fibril.Fiber(work) for _ in range(50)]
        print(sum(fiber.switch(n) for n, fiber in enumerate(fibers)))
        sys.deactivate_stack_trampoline()
        print(sum(fiber.switch(n) for n, fiber in enumerate(fibers)))
        os.unlink(f"/tmp/perf-{os.getpid()}.map")
    """)
    assert out == "1225\n1275\n"
