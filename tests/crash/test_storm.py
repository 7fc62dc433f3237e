"""Strangers' code that waits, kills and collects wherever it is run. SEED=n begins there; SECONDS=n
goes on for that long: `SECONDS=600 make test K=storm`."""

import os
import subprocess
import sys

import pytest

from tests.conftest import PACKAGE_PARENT, Interpreter

SEED = os.environ.get("SEED", "1")
SECONDS = float(os.environ.get("SECONDS", "3"))


@pytest.mark.timeout(SECONDS * 2 + 240)
def test_a_storm_of_strangers_leaves_nothing() -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.crash.storm", SEED, str(SECONDS)]
    done = subprocess.run(
        command,
        env={
            **os.environ,
            "PYTHONPATH": f"{PACKAGE_PARENT}:{os.getcwd()}",
            "FIBRIL_BLOCKING_LIMIT": "0",
        },
        capture_output=True,
        text=True,
        timeout=SECONDS * 2 + 200,
        check=False,
    )
    assert done.returncode == 0, f"seed {SEED}\n{done.stdout}\n{done.stderr[-8000:]}"
    steps, outcome = done.stdout.splitlines()
    assert (int(steps.split()[0]) > 100, outcome) == (True, "calm")


# What a fiber of a task's does where the hub runs on the stack of a task that has ended.
ENDED = """
    import gc, time, fibril
    from fibril.event import Event
"""


def test_a_collection_while_a_timeout_strikes_cannot_end_who_is_struck(
    interpreter: Interpreter,
) -> None:
    """CPython 3.11 collects in allocations, also in those of the hub, after a task has ended."""
    out = interpreter.out(
        ENDED
        + """
    class Sleeper:
        def __init__(self):
            self.itself = self
        def __del__(self):
            fibril.sleep(0.02)
            print("slept")

    event = Event()

    def victim():
        try:
            with fibril.Timeout(0.01):
                event.wait()
            print("woken")
        except fibril.Timeout:
            print("struck")

    def ender():
        fibril.sleep(0)
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            pass
        Sleeper()
        kept.extend([] for _ in range(500))  # no free lists: the next one asks the collector
        gc.set_threshold(1)
        gc.enable()

    kept = []
    gc.collect()
    gc.disable()
    tasks = [fibril.spawn(victim), fibril.spawn_later(0.03, event.set), fibril.spawn(ender)]
    fibril.joinall(tasks)
    gc.set_threshold(700, 10, 10)
    gc.collect()
    fibril.sleep(0.03)
    for _ in range(100):
        fibril.spawn(fibril.sleep, 0.0001).join()
    print("end")
    """
    )
    assert sorted(out.split()) == ["end", "slept", "struck"]


def test_a_destructor_that_the_hub_runs_is_told_that_it_cannot_wait(
    interpreter: Interpreter,
) -> None:
    """The task that has ended cannot be left any more, though the hub runs on its stack."""
    out = interpreter.out(
        ENDED
        + """
    class Late(fibril.Timeout):
        def __del__(self):
            try:
                fibril.sleep(0.05)
            except fibril.hub.BlockingSwitchOutError as error:
                print(str(error).partition("which ")[2])

    def victim():
        Late(0.02).start()
        fibril.sleep(0.01)

    tasks = [fibril.spawn(victim), fibril.spawn(fibril.sleep, 0.015)]
    fibril.sleep(0.1)
    print(all(task.successful() for task in tasks))
    """
    )
    assert out == "is parked. Do it in a task: fibril.spawn(...).\nTrue\n" or out == (
        "has ended. Do it in a task: fibril.spawn(...).\nTrue\n"
    )


def test_a_kill_is_not_lost_in_a_destructor_that_waits(interpreter: Interpreter) -> None:
    """The task is killed while a fiber that it has dropped is being unwound."""
    out = interpreter.out(
        ENDED
        + """
    def dropped(back):
        try:
            back.switch()
        finally:
            task.kill(block=False)
            fibril.sleep(0)
            print("unwound")

    def work():
        try:
            fibril.Fiber(dropped).switch(fibril.getcurrent())  # dropped as soon as it is back
            print("goes on")
            fibril.sleep(1)
        except fibril.GreenletExit:
            print("killed")

    task = fibril.spawn(work)
    task.join()
    fibril.sleep(0.01)
    """
    )
    assert sorted(out.splitlines()) == ["goes on", "killed", "unwound"]


def test_a_dropped_fiber_that_waits_does_not_disturb_its_parent_when_it_ends(
    interpreter: Interpreter,
) -> None:
    """By then the parent waits for something else."""
    out = interpreter.out(
        ENDED
        + """
    def dropped(back):
        try:
            back.switch()
        finally:
            fibril.sleep(0.01)
            print("unwound")

    def work():
        fibril.Fiber(dropped).switch(fibril.getcurrent())
        fibril.sleep(0.03)
        return "undisturbed"

    print(fibril.spawn(work).get())
    """
    )
    assert out == "unwound\nundisturbed\n"
