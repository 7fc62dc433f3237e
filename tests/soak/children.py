"""Children of a soak: started, talked to, killed, forked; whoever starts them is struck at times.

Whatever happens to the writer, what its write() calls said they had taken comes out of the child.
"""

import contextlib
import os
import signal
import subprocess
import time

import fibril
from tests.soak.world import Check, World, part_of

STRIKE_S = 0.2
EXPECTED = (fibril.Timeout,)


def run(world: World) -> None:
    """What goes in comes out."""
    data = part_of(world.place(), world.size())
    done = subprocess.run(["cat"], input=data, capture_output=True, check=True, timeout=60)
    if done.stdout != data:
        world.fail(f"cat got {len(data)} bytes and said {len(done.stdout)}")


def run_late(world: World) -> None:
    """The time is over before it ends."""
    try:
        subprocess.run(["sleep", "60"], timeout=world.chance.random() * 0.05, check=True)
        world.fail("sleep 60 took no time")
    except subprocess.TimeoutExpired:
        pass


def run_struck(world: World) -> None:
    """Whoever has started it is struck, at any point."""

    def start() -> None:
        command = ["sh", "-c", "cat; exec sleep 60"]
        with contextlib.suppress(fibril.Timeout):
            subprocess.run(command, input=bytes(world.size()), capture_output=True, check=True)

    task = fibril.spawn(start)
    world.strike_later(task, STRIKE_S)
    task.join()


def write_struck(world: World) -> None:
    """Whoever writes to it is struck; what was taken comes out."""
    pipe, check, sent = subprocess.PIPE, Check(world, world.place()), 0

    def write() -> None:
        nonlocal sent
        with contextlib.suppress(fibril.Timeout):
            for _ in range(world.chance.randrange(1, 8)):
                sent += os.write(stdin.fileno(), part_of(check.place + sent, world.size()))
                time.sleep(world.chance.random() * 0.05)

    with subprocess.Popen(["cat"], stdin=pipe, stdout=pipe, bufsize=0) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin
        assert stdout
        writing = fibril.spawn(write)
        writing.rawlink(lambda _: stdin.close())
        world.strike_later(writing, STRIKE_S)
        while data := stdout.read(10_000):
            check.take(data)
        writing.join()
    if (process.returncode, check.got) != (0, sent):
        world.fail(f"{sent} bytes were written, {check.got} came out of {process}")


def signalled(world: World) -> None:
    """It is ended by a signal, some time after it began."""
    process = subprocess.Popen(["sleep", "60"])
    time.sleep(world.chance.random() * 0.02)
    number = world.chance.choice([signal.SIGTERM, signal.SIGKILL])
    process.send_signal(number)
    if process.wait() != -number:
        world.fail(f"{process} was sent {number!r}")


def forked(world: World) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    waiting = [fibril.spawn(os.waitpid, pid, 0)]
    if world.may(30):
        waiting[0].kill()
        waiting = [fibril.spawn(os.waitpid, pid, 0)]
    if (answer := waiting[0].get()) != (pid, 7 << 8):
        world.fail(f"the fork {pid} ended, it was said, as {answer}")


ACTS = (run, run_late, run_struck, write_struck, signalled, forked)


def child(world: World) -> None:
    act = world.chance.choice(ACTS)
    act(world)
    world.done[act.__name__] += 1
