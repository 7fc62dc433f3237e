"""gdb on programs with fibers: backtraces that end, and fibril-gdb.py's list and stacks."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest

import fibril

PACKAGE = Path(fibril.__file__).resolve().parent
SCRIPT = PACKAGE / "inspect" / "fibril-gdb.py"
LIMIT_S = 50

PROGRAM = """
import os
import signal
import threading
import fibril
from fibril import _core
from fibril.queue import Queue

main = fibril.getcurrent()
queue = Queue()
readable, _ = os.pipe()

def leave():
    main.switch()

def by_hand():
    sorted([1], key=lambda item: leave())

def pump():
    queue.get()

class Server:
    def serve(self):
        _core.wait_read(readable)

def stop():
    signal.raise_signal(signal.SIGABRT)

def last():
    fibril.sleep(0)
    stop()

def beside():
    is_there.set()
    _core.wait_read(readable)

is_there = threading.Event()
threading.Thread(target=beside, daemon=True).start()
is_there.wait()
fiber = fibril.Fiber(by_hand)
fiber.switch()
unstarted = fibril.Fiber(len)
tasks = [fibril.spawn(pump), fibril.spawn(Server().serve), fibril.spawn_later(1000, pump)]
tasks[0].name = "pümp"
tasks.append(fibril.spawn(last))
queue_of_main = Queue()
queue_of_main.get()
"""

# As PROGRAM stands when it stops, without what differs each time: see `listed`.
FIBERS = """
main fiber waits to get from fibril.queue.Queue
program.py:47 <module>
fiber by_hand was left by a switch by hand
program.py:14 leave
program.py:17 by_hand.<locals>.<lambda>
program.py:17 by_hand
fiber of builtin_function_or_method has not started
task 'pümp' waits to get from fibril.queue.Queue
program.py:20 pump
task Server.serve waits to read from fd N
program.py:24 Server.serve
task pump starts when its time comes
task last runs
program.py:27 stop
program.py:31 last
"""


@cache
def reason_to_skip() -> str:
    """Why gdb cannot be used here; empty if it can."""
    if "FIBRIL_SANITIZER" in os.environ:
        return "gdb would load the sanitizer, too"
    if shutil.which("gdb") is None:
        return "there is no gdb on this machine (Debian: apt install gdb)"
    command = ["gdb", "-nx", "-batch", "-ex", "run", "--args", sys.executable, "-S", "-c", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if "exited normally" not in done.stdout:
        return f"gdb may not run programs here: {done.stderr[-500:]}"
    return ""


class Gdb:
    """Runs gdb on a program, or on its core, and gives it commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONUTF8": "1"}

    def run(self, program: str, *commands: str) -> dict[str, str]:
        """What each command prints when the program has come to its signal."""
        path = self._write(program)
        return self._gdb("run", commands, "--args", sys.executable, str(path))

    def open_core(self, core: Path, *commands: str) -> dict[str, str]:
        return self._gdb("", commands, sys.executable, str(core))

    def crash(self, program: str) -> Path:
        """Let a program dump core; skip where the system gives cores to somebody else."""
        if Path("/proc/sys/kernel/core_pattern").read_text(encoding="utf-8").strip() != "core":
            pytest.skip("cores are not written into the working folder: see core_pattern(5)")
        path = self._write(program)
        command = ["sh", "-c", 'ulimit -c unlimited && exec "$@"', "sh", sys.executable, str(path)]
        process = subprocess.Popen(command, cwd=self.folder, env=self.environ)
        assert process.wait(LIMIT_S) == -signal.SIGABRT
        return next(self.folder.glob("core*"))

    def _write(self, program: str) -> Path:
        path = self.folder / "program.py"
        path.write_text(textwrap.dedent(program), encoding="utf-8")
        return path

    def _gdb(self, first: str, commands: tuple[str, ...], *arguments: str) -> dict[str, str]:
        script = self.folder / "commands"
        script.write_text(
            COMMANDS.format(
                script=PACKAGE / "inspect" / "fibril-gdb.py", first=first, all=commands
            ),
            encoding="utf-8",
        )
        done = subprocess.run(
            ["gdb", "-nx", "-batch", "-x", str(script), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
            cwd=self.folder,
            env=self.environ,
        )
        found = re.findall(r"^MARK (.*)\n((?:(?!MARK ).*\n)*)", done.stdout, re.MULTILINE)
        return dict(found)


# A command that fails says so, and the next one comes.
COMMANDS = """
set pagination off
set width 0
set debuginfod enabled off
source {script}
{first}
python
for command in {all}:
    print("MARK " + command, flush=True)
    try:
        print(gdb.execute(command, to_string=True), end="", flush=True)
    except gdb.error as error:
        print(error, flush=True)
end
"""
REFUSED = ("fibril-bt", "fibril-bt 8", "fibril-bt -1", "fibril-bt one")


@pytest.fixture
def gdb(tmp_path: Path) -> Gdb:
    if reason_to_skip():
        pytest.skip(reason_to_skip())
    return Gdb(tmp_path)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the commands print of PROGRAM, alive, where it stops."""
    if reason_to_skip():
        pytest.skip(reason_to_skip())
    parked = [f"fibril-bt {number}" for number in range(8)]
    looks = ["bt", "fibril-fibers", *parked, *REFUSED, "bt -frame-arguments all"]
    return Gdb(tmp_path_factory.mktemp("live")).run(PROGRAM, *looks)


def listed(text: str) -> list[str]:
    """What fibril-fibers printed of the main thread's hub, without numbers that differ."""
    hubs = re.split(r"^hub of thread \d+: \d+ fibers\n", text, flags=re.MULTILINE)
    mine = next(hub for hub in hubs if "by_hand" in hub)
    mine = re.sub(r" at 0x[0-9a-f]+", "", mine)
    mine = re.sub(r"(?<=fd )\d+", "N", mine)
    mine = re.sub(r"^ *\d+  |^ +/.*/(?=program.py)", "", mine, flags=re.MULTILINE)
    return mine.splitlines()


def functions(backtrace: str) -> list[str]:
    """The C functions of a backtrace, innermost first."""
    numbers = re.findall(r"^#(\d+) ", backtrace, re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(len(numbers)))
    assert "corrupt" not in backtrace
    assert "Backtrace stopped" not in backtrace
    return re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\S+)", backtrace, re.MULTILINE)


def has_python(names: list[str]) -> bool:
    """Whether the interpreter is among them, whose functions have no names where it is stripped."""
    return any(name.startswith(("Py", "_Py", "??")) for name in names)


def test_the_list_shows_every_fiber_of_a_live_process(live: dict[str, str]) -> None:
    output = live["fibril-fibers"]
    assert listed(output) == FIBERS.strip().splitlines(), output
    beside = r"main fiber at 0x\w+ waits to read from fd \d+\n +\S+program.py:35 beside\n"
    assert re.search(beside, output)
    assert sorted(re.findall(r"^hub of thread \d+: (\d+) ", output, re.MULTILINE)) == ["1", "7"]


def test_the_core_file_of_a_crash_shows_the_same(gdb: Gdb) -> None:
    output = gdb.open_core(gdb.crash(PROGRAM), "fibril-fibers", "fibril-bt 1")
    assert listed(output["fibril-fibers"]) == FIBERS.strip().splitlines(), output
    names = functions(output["fibril-bt 1"])
    assert has_python(names)
    assert names[-1] == "fbl_context_start"


@pytest.mark.parametrize("number", [1, 3, 4])
def test_the_stack_of_a_parked_fiber_ends_at_its_entry(live: dict[str, str], number: int) -> None:
    names = functions(live[f"fibril-bt {number}"])
    assert has_python(names)
    assert names[-1] == "fbl_context_start"
    assert names.count("fbl_context_start") == 1


def test_the_stack_of_a_parked_main_fiber_is_the_threads(live: dict[str, str]) -> None:
    names = functions(live["fibril-bt 0"])
    assert has_python(names)
    assert "fbl_context_start" not in names
    assert names[-1] == "_start"


def test_a_fiber_that_has_not_started_has_no_stack(live: dict[str, str]) -> None:
    assert live["fibril-bt 2"].endswith("has not started\nIt has no stack yet.\n")


def test_the_stack_of_the_running_fiber_ends_at_its_entry(live: dict[str, str]) -> None:
    names = functions(live["bt"])
    assert names[-1] == "fbl_context_start"
    assert names.count("fbl_context_start") == 1
    assert functions(live["fibril-bt 6"]) == names


def test_the_running_fiber_of_another_thread_is_found_on_its_thread(live: dict[str, str]) -> None:
    names = functions(live["fibril-bt 7"])
    assert any(name.startswith("fbl_hub") for name in names)
    assert has_python(names)


def test_looking_at_parked_fibers_leaves_gdb_where_it_was(live: dict[str, str]) -> None:
    assert functions(live["bt -frame-arguments all"]) == functions(live["bt"])


@pytest.mark.parametrize("command", REFUSED)
def test_a_number_that_is_none_is_refused_with_the_choice(
    live: dict[str, str], command: str
) -> None:
    assert live[command].endswith("say which: 0 to 7, see fibril-fibers.\n")


def test_a_program_goes_on_after_its_fibers_were_looked_at(gdb: Gdb) -> None:
    program = """
        import signal
        import fibril

        def stop():
            signal.raise_signal(signal.SIGTRAP)
            return "well"

        print(fibril.spawn(stop).get())
    """
    output = gdb.run(program, "fibril-fibers", "fibril-bt 0", "fibril-bt 1", "signal 0")
    assert "well\n" in output["signal 0"]
    assert "exited normally" in output["signal 0"]


def test_a_call_on_the_threads_own_stack_leads_back_to_the_fibers(gdb: Gdb) -> None:
    program = """
        import signal
        import fibril

        def stop():
            signal.raise_signal(signal.SIGABRT)

        fibril.spawn(sorted, [1], key=lambda item: fibril.on_main_stack(stop)).get()
    """
    output = gdb.run(program, "bt", "fibril-bt 0", "fibril-bt 1")
    names = functions(output["bt"])
    assert has_python(names)
    assert names[-1] == "fbl_context_start"
    assert names.index("main_stack_run") < names.index("fbl_guest_call")
    assert functions(output["fibril-bt 1"]) == names
    assert functions(output["fibril-bt 0"])[-1] == "_start"


def test_a_program_without_fibril_is_told_apart(gdb: Gdb) -> None:
    output = gdb.run("import signal; signal.raise_signal(6)", "fibril-fibers")
    assert output["fibril-fibers"].startswith("there is no fibril in this program")
