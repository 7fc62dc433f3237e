"""Where fibril cannot run, importing it says so."""

import ast
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import fibril
from fibril import _supported as supported
from tests.conftest import Interpreter


def test_here_it_can_run():
    assert supported.refusal() is None


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        ((3, 10, 1), "Use one of those."),
        ((3, 16, 0), "Use one of those, or a newer fibril."),
        ((4, 0, 0), "Use one of those, or a newer fibril."),
    ],
)
def test_another_minor_version_is_refused_by_name(monkeypatch, version, remedy):
    monkeypatch.setattr(sys, "version_info", version)
    here = ".".join(map(str, version))
    known = "CPython 3.11 to 3.15"
    assert supported.refusal() == f"fibril runs on {known}; this is CPython {here}. {remedy}"


def test_a_thread_may_be_the_first_to_import_it(interpreter: Interpreter) -> None:
    """From 3.14 on the import looks into the state of the thread that does it."""
    out = interpreter.out("""
        import threading
        def work():
            import fibril
            print(fibril.Fiber(lambda: sorted([2, 1], key=lambda x: x)).switch())
        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        work()
    """)
    assert out == "[1, 2]\n" * 3


def test_another_machine_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="riscv64"))
    assert (
        supported.refusal() == "fibril runs on Linux on x86-64 and aarch64; this is linux riscv64."
    )


def test_another_system_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "this is darwin" in supported.refusal()


def test_a_system_that_does_not_name_its_machine_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(os, "uname")
    assert supported.refusal() == "fibril runs on Linux on x86-64 and aarch64; this is win32."


def test_a_python_of_32_bits_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "maxsize", (1 << 31) - 1)
    assert "fibril needs 64 bits; this CPython" in supported.refusal()


@pytest.mark.parametrize("flags", ["t", "td"])
def test_a_python_without_the_gil_is_refused(monkeypatch, flags):
    """Also where it runs with one: what is built for it is built for none."""
    monkeypatch.setattr(sys, "abiflags", flags)
    assert "needs a Python with the GIL" in supported.refusal()


def test_checkers_are_told_of_each_module_that_comes_when_it_is_used() -> None:
    body = ast.parse(Path(fibril.__file__).read_text(encoding="utf-8")).body
    told = [node for block in body if isinstance(block, ast.If) for node in block.body]
    imports = [node for node in told if isinstance(node, ast.ImportFrom)]
    names = [alias.name for node in imports for alias in node.names]
    assert sorted(names) == sorted(fibril._MODULES)


# What a bare import loads: whoever adds to this makes each program that imports fibril wait for it.
# traceback, _hub.report and _hub.watchdog are there before anything fails: where no descriptor is
# left, they could not be read any more to say so.
OURS = """
    fibril _builtin _core _supported _typing drivers errors hub libraries native signal task
    threadpool timeout _io _io.retry _io.signal_wait
    _hub _hub.arrival _hub.fairness _hub.fork _hub.handlers _hub.loophub _hub.report _hub.stack_size
    _hub.standstill _hub.waiter _hub.waiting _hub.watchdog
"""
STANDARD = """
    __future__ _queue _socket atexit errno functools heapq select signal threading traceback types
    typing
"""


def test_a_bare_import_loads_this_and_no_more(interpreter: Interpreter) -> None:
    program = """
        import sys
        before = set(sys.modules)
        import {}
        print(*sorted(set(sys.modules) - before))
    """
    standard = interpreter.out(program.format(", ".join(STANDARD.split()))).split()
    loaded = interpreter.out(program.format("fibril")).split()
    ours = sorted(name.removeprefix("fibril.") for name in loaded if name.startswith("fibril"))
    assert ours == sorted(OURS.split())
    assert [name for name in loaded if not name.startswith("fibril")] == standard


def test_what_a_bare_import_leaves_out_comes_when_it_is_used(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import fibril
        from fibril import threadpool
        print("ThreadPoolExecutor" in dir(threadpool), fibril.pool.Pool.__name__)
        print(type(fibril.get_hub().resolver).__module__)
        fibril.get_hub().loop.timer(0.001)
        print(fibril.hub.Hub.threadpool_class is threadpool.ThreadPool, fibril.offload(int))
        print(hasattr(threadpool, "no_such_name"))
    """)
    assert out == "True Pool\nfibril._io.resolver\nTrue 0\nFalse\n"
