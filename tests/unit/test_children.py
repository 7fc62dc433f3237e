"""os.waitpid and its kin: others run while a child is waited for; who asked reaps it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fibril
from fibril import os as ours
from fibril import sleep, spawn
from tests.conftest import Interpreter

PIDFDS = "anon_inode:[pidfd]"


def child(command: str, stdin: int = 0) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0)]
    return os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ, file_actions=actions)


def held(status: int = 7) -> tuple[int, int]:
    """A child that ends when what is returned beside it is closed."""
    reader, writer = os.pipe()
    pid = child(f"read x; exit {status}", reader)
    os.close(reader)
    return pid, writer


def open_pidfds() -> int:
    return sum(
        os.readlink(f"/proc/self/fd/{name}") == PIDFDS
        for name in os.listdir("/proc/self/fd")
        if os.path.islink(f"/proc/self/fd/{name}")
    )


WAITS: dict[str, Callable[[int], Any]] = {
    "waitpid": lambda pid: ours.waitpid(pid, 0),
    "waitpid, any": lambda _: ours.waitpid(-1, 0),
    "waitpid, group": lambda _: ours.waitpid(0, 0),
    "wait": lambda _: ours.wait(),
    "wait3": lambda _: ours.wait3(0)[:2],
    "wait4": lambda pid: ours.wait4(pid, 0)[:2],
    "wait4, any": lambda _: ours.wait4(-1, 0)[:2],
    "waitpid, stops too": lambda pid: ours.waitpid(pid, os.WUNTRACED),
}


@pytest.mark.parametrize("name", WAITS)
def test_others_run_while_a_child_is_waited_for(fresh: None, name: str) -> None:
    pid, writer = held()
    task = spawn(WAITS[name], pid)
    sleep(0.005)
    assert not task.ready()
    os.close(writer)
    assert task.get() == (pid, 7 << 8)
    assert open_pidfds() == 0


def test_waitid_tells_of_one_of_any_and_of_a_pidfd(fresh: None) -> None:
    for kind in ("pid", "all", "pidfd"):
        pid, writer = held()
        pidfd = os.pidfd_open(pid)
        idtype, ident = {
            "pid": (os.P_PID, pid),
            "all": (os.P_ALL, 0),
            "pidfd": (os.P_PIDFD, pidfd),
        }[kind]
        assert ours.waitid(idtype, ident, os.WEXITED | os.WNOHANG) is None
        peeking = spawn(ours.waitid, idtype, ident, os.WEXITED | os.WNOWAIT)
        task = spawn(ours.waitid, idtype, ident, os.WEXITED | os.WNOWAIT)
        sleep(0.002)
        os.close(writer)
        for result in (peeking.get(), task.get(), ours.waitid(idtype, ident, os.WEXITED)):
            assert result is not None
            assert (result.si_pid, result.si_status) == (pid, 7)
        os.close(pidfd)


def test_waiting_asks_the_functions_of_os_that_it_came_with(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = child("sleep 0.05")
    monkeypatch.setattr(os, "pidfd_open", None)
    assert ours.waitpid(pid, 0) == (pid, 0)


def test_without_waiting_it_is_the_kernels_answer(fresh: None) -> None:
    pid, writer = held()
    assert ours.waitpid(pid, os.WNOHANG) == (0, 0)
    assert ours.wait3(os.WNOHANG)[:2] == (0, 0)
    assert ours.wait4(pid, os.WNOHANG)[:2] == (0, 0)
    os.close(writer)
    assert ours.waitpid(pid, 0) == (pid, 7 << 8)
    for call in (lambda: ours.waitpid(pid, 0), lambda: ours.waitpid(pid, os.WNOHANG), ours.wait):
        with pytest.raises(ChildProcessError):
            call()


def test_a_child_that_stops_is_told_of(fresh: None) -> None:
    pid, writer = held()
    task = spawn(ours.waitpid, pid, os.WUNTRACED)
    sleep(0.002)
    os.kill(pid, signal.SIGSTOP)
    stopped, status = task.get()
    assert (stopped, os.WIFSTOPPED(status)) == (pid, True)
    going_on = spawn(ours.waitpid, pid, os.WCONTINUED)
    sleep(0.002)
    os.kill(pid, signal.SIGCONT)
    assert os.WIFCONTINUED(going_on.get()[1])
    os.close(writer)
    assert ours.waitpid(pid, 0) == (pid, 7 << 8)


def test_who_waits_for_any_gets_one_that_another_task_starts_later(fresh: None) -> None:
    pid, writer = held()
    task = spawn(ours.wait)
    sleep(0.002)
    later = child("exit 3")
    assert task.get() == (later, 3 << 8)
    os.close(writer)
    assert ours.wait() == (pid, 7 << 8)


def test_a_child_that_another_reaps_is_lost_to_who_waits(fresh: None) -> None:
    pid, writer = held()
    tasks = [spawn(ours.waitpid, pid, 0) for _ in range(3)]
    sleep(0.002)
    os.close(writer)
    fibril.joinall(tasks)
    assert [task.value for task in tasks if task.successful()] == [(pid, 7 << 8)]
    assert sum(isinstance(task.exception, ChildProcessError) for task in tasks) == 2


def test_who_is_killed_while_he_waits_leaves_the_child_and_no_descriptor(fresh: None) -> None:
    pid, writer = held()
    tasks = [spawn(WAITS[name], pid) for name in ("waitpid", "wait", "wait3", "wait4")]
    sleep(0.002)
    assert open_pidfds() > 0
    fibril.killall(tasks)
    assert open_pidfds() == 0
    os.close(writer)
    assert ours.waitpid(pid, 0) == (pid, 7 << 8)


def test_many_children_are_waited_for_at_once(fresh: None) -> None:
    made = [held(status) for status in range(40)]
    tasks = [spawn(ours.waitpid, pid, 0) for pid, _ in made]
    sleep(0.002)
    for _, writer in reversed(made):
        os.close(writer)
    assert [task.get() for task in tasks] == [
        (pid, status << 8) for status, (pid, _) in enumerate(made)
    ]


def test_a_command_is_run_by_the_shell_meanwhile_others_run(fresh: None, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    task = spawn(ours.system, f"read x < {tmp_path / 'fifo'}; exit 5")
    sleep(0.005)
    assert not task.ready()
    (tmp_path / "fifo").write_bytes(b"go\n")
    assert os.waitstatus_to_exitcode(task.get()) == 5


def test_what_a_command_prints_is_read_while_others_run(fresh: None, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with ours.popen(f"read x < {tmp_path / 'fifo'}; echo $x; exit 3") as file:
        task = spawn(file.read)
        sleep(0.005)
        assert not task.ready()
        (tmp_path / "fifo").write_bytes(b"word\n")
        assert task.get() == "word\n"
        assert file.close() == 3 << 8
    with ours.popen(f"cat > {tmp_path / 'kept'}", "w") as file:
        file.write("words")
    assert (tmp_path / "kept").read_text(encoding="utf-8") == "words"
    for call in (lambda: ours.popen("true", "b"), lambda: ours.popen("true", buffering=0)):
        with pytest.raises(ValueError, match=r"mode|unbuffered"):
            call()


def test_a_watched_child_is_reaped_and_told_of_later(interpreter: Interpreter) -> None:
    out = interpreter.out("""
        import os, fibril
        from fibril import os as ours
        told = []

        def start(status, callback=None):
            pid = ours.fork_and_watch(callback)
            if pid == 0:
                os._exit(status)
            return pid

        first = start(3, lambda watcher: told.append((watcher.pid, watcher.rstatus >> 8)))
        second = start(4)
        task = fibril.spawn(ours.waitpid, first, 0)
        print(ours.waitpid(second, 0) == (second, 4 << 8), task.get() == (first, 3 << 8))
        print(told == [(first, 3)])
        third = start(5)
        while ours.waitpid(third, os.WNOHANG) == (0, 0):
            fibril.sleep(0.001)
        for pid in (first, second, third):
            try:
                ours.waitpid(pid, 0)
            except ChildProcessError:
                print("it is known once")
        pid, terminal = ours.forkpty_and_watch()
        if pid == 0:
            os.write(1, b"on a terminal")
            os._exit(6)
        print(ours.read(terminal, 99), ours.waitpid(pid, 0)[1] >> 8)
    """)
    assert out == "True True\nTrue\n" + "it is known once\n" * 3 + "b'on a terminal' 6\n"
