"""fibril.subprocess: the standard library's, without any patch; others run meanwhile."""

import contextlib
import io
import os
import signal
import subprocess as stdlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fibril
from fibril import sleep, spawn, spawn_later, subprocess
from fibril.subprocess import PIPE, Popen
from tests.conftest import Interpreter
from tests.unit.test_children import open_pidfds


def held() -> "Popen[bytes]":
    """A process that ends when its stdin does, with the status 7."""
    return Popen(["sh", "-c", "cat > /dev/null; exit 7"], stdin=PIPE)


def release(process: "Popen[bytes]") -> None:
    assert process.stdin
    process.stdin.close()


def descriptors() -> int:
    with held() as process:  # the hub has its own by now
        spawn_later(0.001, release, process)
        process.wait()
    return len(os.listdir("/proc/self/fd"))


def raised_by(call: Callable[..., object], *args: Any) -> Exception | None:
    try:
        call(*args)
    except Exception as error:
        return error
    return None


def test_whoever_waits_lets_others_run(fresh: None) -> None:
    process = held()
    waiting = [spawn(process.wait), spawn(process.wait, 30)]
    sleep(0.002)
    assert (process.poll(), [task.ready() for task in waiting]) == (None, [False, False])
    release(process)
    assert [task.get() for task in waiting] == [7, 7]
    assert (process.returncode, open_pidfds()) == (7, 0)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (subprocess.call, 3),
        (lambda *a, **k: subprocess.run(*a, **k).returncode, 3),
        (lambda *a, **k: subprocess.run(*a, capture_output=True, **k).stdout, b"done\n"),
        (lambda *a, **k: subprocess.run(*a, stdout=PIPE, text=True, **k).stdout, "done\n"),
        (lambda a, shell, **_: subprocess.getstatusoutput(a), (3, "done")),
        (lambda a, shell, **_: subprocess.getoutput(a), "done"),
        (lambda a, **k: subprocess.check_output(a + "; exit 0", **k), b"done\n"),
    ],
)
def test_each_way_to_run_a_command_lets_others_run(
    fresh: None, tmp_path: Path, call: Callable[..., Any], answer: Any
) -> None:
    os.mkfifo(tmp_path / "fifo")
    command = f"(read x < {tmp_path / 'fifo'}; echo done; exit 3)"
    task = spawn(call, command, shell=True)
    sleep(0.002)
    assert not task.ready()
    (tmp_path / "fifo").write_bytes(b"\n")
    assert task.get() == answer


def test_pipes_are_files_that_let_others_run(fresh: None) -> None:
    with Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        reading = spawn(process.stdout.readline)
        sleep(0.001)
        assert not reading.ready()
        print("a line", file=process.stdin)
        process.stdin.flush()
        assert reading.get() == "a line\n"
    with Popen(["sh", "-c", "sleep 0.01; cat"], stdin=PIPE, stdout=PIPE, bufsize=0) as unbuffered:
        assert isinstance(unbuffered.stdin, io.FileIO)
        assert isinstance(unbuffered.stdout, io.FileIO)
        writing = spawn(unbuffered.stdin.write, bytes(300_000))
        sleep(0.001)
        assert not writing.ready()
        got = 0
        while got < 300_000:
            got += len(unbuffered.stdout.read(100_000))
        assert writing.get() == got == 300_000
        unbuffered.stdin.close()
        assert (unbuffered.stdout.read(), unbuffered.stdout.read(9)) == (b"", b"")
        with pytest.raises(io.UnsupportedOperation):
            unbuffered.stdout.write(b"no")
        with pytest.raises(ValueError, match="closed"):
            unbuffered.stdin.write(b"no")


def test_tasks_take_turns_in_a_pipe_and_who_is_struck_loses_nothing(fresh: None) -> None:
    with Popen(["cat"], stdin=PIPE, stdout=PIPE) as process:
        source, target = process.stdout, process.stdin
        assert source
        assert target
        os.write(target.fileno(), b"half of ")
        struck = spawn(source.readline)
        waiting = spawn(source.readline)
        sleep(0.005)
        struck.kill()
        os.write(target.fileno(), b"a line\nanother\n")
        assert (waiting.get(), source.readline()) == (b"half of a line\n", b"another\n")
        tasks = [spawn(target.write, bytes([number]) * 100_000) for number in (1, 2)]
        got = source.read(190_000)
        fibril.joinall(tasks)
        target.flush()
        got += source.read(10_000)
        assert got == bytes([1]) * 100_000 + bytes([2]) * 100_000


def test_who_waits_in_a_pipe_that_another_closes_is_told(fresh: None) -> None:
    for bufsize in (-1, 0):
        with Popen(["cat"], stdin=PIPE, stdout=PIPE, bufsize=bufsize) as process:
            assert process.stdout
            waiting = spawn(raised_by, process.stdout.read, 9)
            sleep(0.002)
            process.stdout.close()
            assert isinstance(waiting.get(), OSError)


def test_what_goes_to_and_fro_is_complete(fresh: None) -> None:
    data = os.urandom(400_000)
    tasks = [
        spawn(lambda: Popen(["cat"], stdin=PIPE, stdout=PIPE).communicate(data, 30))
        for _ in range(4)
    ]
    assert all(task.get() == (data, None) for task in tasks)


def test_a_timeout_kills_what_is_run_and_keeps_what_was_said(fresh: None) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        subprocess.run("echo said; exec sleep 60", shell=True, stdout=PIPE, timeout=0.2)
    assert caught.value.output == b"said\n"
    process = held()
    with pytest.raises(stdlib.TimeoutExpired):
        process.wait(0.001)
    release(process)
    assert process.wait(30) == 7


def test_who_is_killed_at_any_point_leaves_nothing(fresh: None) -> None:
    before = descriptors()

    def run() -> None:
        with contextlib.suppress(fibril.Timeout):
            subprocess.run(["sh", "-c", "cat; exec sleep 60"], input=bytes(200_000), stdout=PIPE)

    for delay_s in (0, 0.0005, 0.001, 0.002, 0.004, 0.008):
        for reason in (fibril.GreenletExit, fibril.Timeout(1)):
            task = spawn(run)
            sleep(delay_s)
            task.kill(reason)
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_who_is_killed_while_it_starts_ends_it(fresh: None, tmp_path: Path) -> None:
    """With preexec_fn the starter waits until the program is executed."""
    os.mkfifo(tmp_path / "fifo")

    def start() -> None:
        Popen(["true"], preexec_fn=(tmp_path / "fifo").read_bytes)

    before = descriptors()
    task = spawn(start)
    sleep(0.005)
    assert not task.ready()
    task.kill()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert descriptors() == before


def test_what_cannot_be_started_is_told_as_ever(fresh: None) -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError, match="no such program"):
        subprocess.run(["/no such program"])
    with pytest.raises(FileNotFoundError, match="no such folder"):
        subprocess.run(["true"], cwd="/no such folder")
    with pytest.raises(subprocess.CalledProcessError, match="status 1"):
        subprocess.check_call(["false"])
    assert descriptors() == before


def test_it_can_be_waited_for_as_tasks_can(fresh: None) -> None:
    first, second = held(), held()
    told: list[Any] = []
    second.rawlink(told.append)
    second.rawlink(print)
    second.unlink(print)
    release(second)
    assert fibril.wait([first, second], count=1) == [second]
    assert (second.result.get(), told) == (7, [second])
    release(first)
    assert first.result.get() == 7
    assert second.result is second.result


def test_somebody_else_reaps_it(fresh: None) -> None:
    process = held()
    task = spawn(process.wait, 30)
    sleep(0.001)
    release(process)
    os.waitpid(process.pid, 0)
    assert task.get() == 0  # as the standard library says, which cannot know


def test_knobs_of_the_standard_library_are_heeded(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vfork is the way, as it is there; who turns it off turns it off here, too."""
    calls: list[tuple[Any, ...]] = []
    fork_exec = vars(stdlib)["_fork_exec"]
    monkeypatch.setattr(stdlib, "_fork_exec", lambda *a: calls.append(a) or fork_exec(*a))
    subprocess.run(["true"])
    monkeypatch.setattr(stdlib, "_USE_VFORK", False, raising=False)
    subprocess.run(["true"])
    has_knob = sys.version_info < (3, 14)
    assert [call[-1] for call in calls] == ([True, False] if has_knob else [None, None])


def test_it_runs_beside_others_in_any_native_thread(fresh: None) -> None:
    assert fibril.offload(lambda: subprocess.run(["true"], timeout=30).returncode) == 0


def test_handlers_of_sigchld_are_the_programs_own(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import signal, fibril
        from fibril import subprocess
        ended = []
        signal.signal(signal.SIGCHLD, lambda *_: ended.append(1))
        print([subprocess.run(["false"]).returncode for _ in range(3)])
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print(subprocess.run(["false"], timeout=20).returncode, len(ended))
        """)
    assert out == "[1, 1, 1]\n0 3\n"


def test_after_the_patch_it_is_the_standard_librarys_own(interpreter: Interpreter) -> None:
    """Alone, too: pipes and communicate() then need no other patch."""
    out = interpreter.out("""
        import subprocess
        from fibril import monkey
        monkey.patch_subprocess()
        import fibril
        from fibril import subprocess as ours
        print(ours.Popen is subprocess.Popen, ours.run is subprocess.run)
        turns = []
        fibril.spawn(lambda: [turns.append(fibril.sleep(0.001)) for _ in range(5)])
        PIPE = subprocess.PIPE
        process = subprocess.Popen(["sh", "-c", "read x; echo $x"], stdin=PIPE, stdout=PIPE)
        fibril.spawn_later(0.02, lambda: process.stdin.close())
        print(process.stdout.read(), len(turns), process.wait(), process.result.get())
        process.stdout.close()
        """)
    assert out == "True True\nb'\\n' 5 0 0\n"
    original = interpreter.out("""
        from fibril import monkey
        monkey.patch_all()
        popen = monkey.get_original("subprocess", "Popen")
        print(popen.wait, popen(["true"]).wait(), hasattr(popen, "rawlink"))
        """)
    assert original.endswith("0 True\n")


def test_lines_of_bytes_are_not_buffered_and_that_is_told_as_ever(fresh: None) -> None:
    told = []
    for module in stdlib, subprocess:
        with pytest.warns(RuntimeWarning) as caught:
            module.Popen(["true"], stdin=PIPE, bufsize=1).communicate()
        told.append(str(caught[0].message))
    assert told[0] == told[1]


def test_signals_are_sent_as_ever(fresh: None) -> None:
    process = Popen(["sleep", "60"])
    process.terminate()
    assert process.wait() == -signal.SIGTERM
    process.kill()  # there is nobody any more: no error
