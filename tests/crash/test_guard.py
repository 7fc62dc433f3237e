"""The guard below each stack: what no counter stops is a segmentation fault that names its line."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import fibril
from tests.conftest import Interpreter

# AddressSanitizer would handle the signal itself, on stacks of its own.
HANDS_OFF = {
    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:use_sigaltstack=0"
}

TOLD = (
    r"fibril: stack overflow: the fiber that runs '.*' \(.*program.py:\d+\) has used up its stack "
    r"of {} bytes\.\nGive it a larger one: .*\n+"
)

# Nested iterators call each other in C without any count, in every version.
OVERFLOW = """
    import faulthandler, itertools, sys, fibril
    faulthandler.enable()

    def overflow():
        nested = iter([1])
        for _ in range(400_000):
            nested = itertools.chain(nested, [1])
        next(nested)  # here

    {start}
    print("not reached")
"""


@pytest.mark.parametrize(
    "start",
    [
        "fibril.Fiber(overflow).switch()",
        "fibril.spawn(overflow).get()",
        "fibril.Fiber(lambda: fibril.Fiber(overflow).switch()).switch()",
    ],
)
def test_faulthandler_names_the_line_of_an_overflow(start: str, interpreter: Interpreter) -> None:
    done = interpreter.run(OVERFLOW.replace("{start}", start), **HANDS_OFF)
    assert done.status == -signal.SIGSEGV
    assert done.out == ""
    told, dump = done.err.split("Fatal Python error: Segmentation fault")
    assert 'program.py", line 8 in overflow' in dump
    assert re.fullmatch(TOLD.format(fibril.stack_size()), told)


@pytest.mark.parametrize(
    "start", ["fibril.Fiber(overflow).switch()", "fibril.spawn(overflow).get()"]
)
def test_faulthandler_names_the_line_in_another_thread_too(
    start: str, interpreter: Interpreter
) -> None:
    """faulthandler gives an alternate stack to the thread that enables it; fibril to the others."""
    in_thread = f"import threading; threading.Thread(target=lambda: {start}).start()"
    done = interpreter.run(OVERFLOW.replace("{start}", in_thread), **HANDS_OFF)
    assert done.status == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in done.err
    assert 'program.py", line 8 in overflow' in done.err


# Each ends with the fault of OVERFLOW's nested iterators, and what is in their way before.
HANDLERS = {
    "no other handler": "",
    "faulthandler, before": "faulthandler.enable()\nimport fibril",
    "faulthandler, after": "import fibril\nfaulthandler.enable()",
    "faulthandler, after and off": (
        "import fibril\nfaulthandler.enable()\nfibril.Fiber(int).switch()\nfaulthandler.disable()"
    ),
    "faulthandler, between two fibers": (
        "import fibril\nfibril.Fiber(int).switch()\nfaulthandler.enable()\n"
        "fibers = [fibril.Fiber(fibril.getcurrent().switch) for _ in range(100)]\n"
        "for fiber in fibers: fiber.switch()"
    ),
    "a handler in Python, that cannot run": "signal.signal(signal.SIGSEGV, print)\nimport fibril",
    "ignored, as no fault can be": "signal.signal(signal.SIGSEGV, signal.SIG_IGN)\nimport fibril",
    "another thread": "import fibril\nin_thread = True",
}


@pytest.mark.parametrize("handlers", HANDLERS)
def test_who_overflows_is_told_whatever_handlers_there_are(
    handlers: str, interpreter: Interpreter
) -> None:
    program = f"""
import faulthandler, itertools, signal, threading
faulthandler.disable()  # the test's interpreter began with it
in_thread = False
{HANDLERS[handlers]}
import fibril
def overflow():
    nested = iter([1])
    for _ in range(400_000):
        nested = itertools.chain(nested, [1])
    next(nested)
def start():
    fibril.spawn(overflow, stack_size=4 << 20).get()
if in_thread:
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
start()
"""
    done = interpreter.run(program, **HANDS_OFF)
    assert done.status == -signal.SIGSEGV
    told = TOLD.format(4 << 20)
    has_dump = "faulthandler" in handlers and "off" not in handlers
    if has_dump:
        assert re.fullmatch(
            f"{told}Fatal Python error: Segmentation fault\n.*", done.err, re.DOTALL
        )
    else:
        assert re.fullmatch(told, done.err)


def test_other_faults_are_passed_on(interpreter: Interpreter) -> None:
    """To the handler that was there, and without a word of ours."""
    crash = """
        import ctypes, faulthandler, fibril
        faulthandler.disable()
        {}
        fibril.spawn(ctypes.string_at, 8).get()
    """
    done = interpreter.run(crash.format(""), **HANDS_OFF)
    assert (done.status, done.err) == (-signal.SIGSEGV, "")
    done = interpreter.run(crash.format("faulthandler.enable()"), **HANDS_OFF)
    assert done.status == -signal.SIGSEGV
    assert done.err.startswith("Fatal Python error: Segmentation fault")


@pytest.mark.parametrize("crash", ["ctypes.string_at(8)", "faulthandler._sigsegv()"])
def test_a_fault_ends_the_process_though_faulthandler_was_enabled_and_is_not(
    crash: str, interpreter: Interpreter
) -> None:
    """Its handler, which is asked next, does nothing then and comes back."""
    program = f"""
        import ctypes, faulthandler, fibril
        faulthandler.disable()
        fibril.Fiber(int).switch()
        for _ in range(2):
            faulthandler.enable()
            fibers = [fibril.Fiber(fibril.getcurrent().switch) for _ in range(200)]
            for fiber in fibers:
                fiber.switch()  # which maps memory for stacks
            faulthandler.disable()
        fibril.spawn(lambda: {crash}).get()
        print("alive")
    """
    done = interpreter.run(program, **HANDS_OFF)
    assert (done.status, done.out, done.err) == (-signal.SIGSEGV, "", "")


def test_a_signal_that_somebody_sends_is_no_overflow(interpreter: Interpreter) -> None:
    program = """
        import faulthandler, os, signal, fibril
        faulthandler.disable()
        {}
        fibril.spawn(os.kill, os.getpid(), signal.SIGSEGV).get()
        print("alive")
    """
    done = interpreter.run(program.format(""), **HANDS_OFF)
    assert (done.status, done.out, done.err) == (-signal.SIGSEGV, "", "")
    handler = 'signal.signal(signal.SIGSEGV, lambda *_: print("handled"))'
    assert interpreter.out(program.format(handler), **HANDS_OFF) == "handled\nalive\n"


def test_a_thread_keeps_the_signal_stack_that_it_has(interpreter: Interpreter) -> None:
    """A thread without one gets one with its first fiber; the next thread gets the same memory."""
    out = interpreter.out(
        """
        import ctypes, mmap, threading, fibril
        class Stack(ctypes.Structure):
            _fields_ = [("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
        libc = ctypes.CDLL(None, use_errno=True)
        def present():
            stack = Stack()
            assert libc.sigaltstack(None, ctypes.byref(stack)) == 0
            return stack.at if not stack.flags & 2 else None
        def in_thread(work):
            seen = []
            thread = threading.Thread(target=lambda: seen.append(work()))
            thread.start()
            thread.join()
            return seen[0]
        def without():
            before = present()
            fibril.Fiber(int).switch()
            return before, present()
        def with_one():
            memory = mmap.mmap(-1, 65536)
            at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            own = Stack(at, 0, 65536)
            assert libc.sigaltstack(ctypes.byref(own), None) == 0
            fibril.Fiber(int).switch()
            kept = present() == at
            libc.sigaltstack(ctypes.byref(Stack(None, 2, 0)), None)
            return kept
        first, second = in_thread(without), in_thread(without)
        print(first[0], first[1] is not None, second == first, in_thread(with_one))
        fibril.Fiber(int).switch()
        main = present()
        fibril.Fiber(int).switch()
        print(main is not None, present() == main)
    """,
        **HANDS_OFF,
    )
    assert out == "None True True True\nTrue True\n"


def test_an_overflow_stays_inside_its_own_stack(interpreter: Interpreter) -> None:
    """Neighbouring stacks are untouched: in the parent of the one that dies all is as it was."""
    out = interpreter.out(
        """
        import itertools, os, fibril
        main = fibril.getcurrent()
        def keep(number):
            kept = [number] * 100
            main.switch()
            return kept == [number] * 100
        fibers = [fibril.Fiber(keep) for _ in range(50)]
        for number, fiber in enumerate(fibers):
            fiber.switch(number)
        def overflow():
            nested = iter([1])
            for _ in range(400_000):
                nested = itertools.chain(nested, [1])
            next(nested)
        pid = os.fork()
        if not pid:
            os.close(2)
            fibril.Fiber(overflow).switch()
            os._exit(0)
        print(os.waitpid(pid, 0)[1] & 127)
        print(all(fiber.switch() for fiber in fibers))
    """,
        **HANDS_OFF,
    )
    assert out == f"{int(signal.SIGSEGV)}\nTrue\n"


def test_faulthandler_dumps_the_stack_of_a_running_fiber(interpreter: Interpreter) -> None:
    done = interpreter.run("""
        import faulthandler, fibril
        def inner():
            faulthandler.dump_traceback()
        def outer():
            sorted([1], key=lambda _: inner())
        fibril.Fiber(outer).switch()
    """)
    assert done.status == 0
    lines = [line.strip() for line in done.err.split("\n") if "program.py" in line]
    assert [line.rpartition(" in ")[2] for line in lines] == ["inner", "<lambda>", "outer"]


def test_without_address_space_a_fiber_is_a_memory_error(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import resource, fibril
        main = fibril.getcurrent()
        size = 8 << 20  # so large that CPython's own memory fits beside the last one
        used = int(open("/proc/self/statm").read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20),) * 2)
        fibers, refused = [], 0
        for _ in range(50):
            fiber = fibril.Fiber(main.switch, stack_size=size)
            try:
                fiber.switch()
            except MemoryError as error:
                refused += "stack" in str(error)
            else:
                fibers.append(fiber)
        print(5 < len(fibers) <= 100 / 8, len(fibers) + refused)
        import sys, io
        sys.stderr = io.StringIO()
        tasks = [fibril.spawn(fibril.sleep, 0.01, stack_size=size) for _ in range(100)]
        fibril.joinall(tasks)
        print(all(isinstance(task.exception, MemoryError) for task in tasks))
        fibers.clear()
        tasks = [fibril.spawn(fibril.sleep, 0.01, stack_size=size) for _ in range(5)]
        fibril.joinall(tasks)
        print(all(task.successful() for task in tasks))
    """)
    assert out == "True 50\nTrue\nTrue\n"


LIMITED = """
    import resource, sys, warnings, fibril
    {limit}
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30),) * 2)
    main = fibril.getcurrent()
    def park():
        main.switch(fibril.getcurrent().stack_size)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fibers = [fibril.Fiber(park) for _ in range(700)]
        sizes = [fiber.switch() for fiber in fibers]
        fibril.Fiber(park)
        tasks = [fibril.spawn(fibril.sleep, 0.01) for _ in range(50)]
        fibril.joinall(tasks)
    print(sizes == sorted(sizes, reverse=True), sizes[0] >> 20, sizes[-1] >> 10)
    print(sizes.count(sizes[0]), all(task.successful() for task in tasks))
    for warning in told:
        print(warning.category.__name__, str(warning.message).partition(",")[0], warning.lineno)
    held = bytearray(256 << 20)  # a quarter of the address space is left to everybody else
    for fiber in fibers:
        fiber.switch()
    print(fibril.Fiber(lambda: fibril.getcurrent().stack_size).switch() >> 20)
"""


@pytest.mark.skipif(
    "FIBRIL_SANITIZER" in os.environ, reason="a sanitizer takes all the address space there is"
)
def test_where_address_space_is_limited_stacks_are_smaller_and_it_is_told_once(
    interpreter: Interpreter,
) -> None:
    smallest = {(3, 11): 1024, (3, 12): 512, (3, 13): 512}.get(sys.version_info[:2], 192)
    out = interpreter.out(LIMITED.format(limit=""))
    first, second, warning, last = out.splitlines()
    assert first.split()[:2] == ["True", str(fibril.stack_size() >> 20)]
    assert int(first.split()[2]) in (1024, smallest)
    count, is_well = second.split()
    assert 30 <= int(count) <= (2 << 30) / fibril.stack_size()
    assert is_well == "True"
    assert warning.startswith("RuntimeWarning the address space of this process is limited")
    assert int(last) == fibril.stack_size() >> 20


def test_a_version_of_python_that_fibril_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    include = Path(sysconfig.get_path("include"))
    if compiler is None or not (include / "Python.h").exists():
        pytest.skip("needs a C compiler and Python's headers")
    csrc = Path(__file__).parents[2] / "csrc"
    source = tmp_path / "later.c"
    source.write_text(
        "#define _GNU_SOURCE 1\n#define PY_SSIZE_T_CLEAN\n#include <Python.h>\n"
        '#undef PY_VERSION_HEX\n#define PY_VERSION_HEX 0x04020000\n#include "fibril.c"\n',
        encoding="utf-8",
    )
    command = [compiler, "-fsyntax-only", f"-I{include}", "-iquote", str(csrc), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "fibril knows the inside of CPython" in done.stderr


def test_the_module_refuses_to_be_imported_by_another_version(interpreter: Interpreter) -> None:
    """The file name's tag keeps the wrong one from being found; this is for those who rename."""
    out = interpreter.out("""
        import sys
        import fibril._core
        print(fibril._core.python_version == "%d.%d" % sys.version_info[:2])
    """)
    assert out == "True\n"
    assert sys.version_info >= (3, 11)
