"""Long steps of many tasks: one between two looks at the kernel, and nobody is held up."""

from types import SimpleNamespace
from typing import Any

import pytest

import fibril
from fibril import ssl
from fibril._io.turn import Turn


def test_between_two_steps_everybody_runs_who_is_ready(fresh: None) -> None:
    order: list[str] = []

    def other() -> None:
        while order.count("step") < 10:
            fibril.sleep(0)
            order.append("other")

    engine = SimpleNamespace(do_handshake=lambda: order.append("step"))
    tasks = [fibril.spawn(ssl._shake, engine) for _ in range(10)]
    tasks.append(fibril.spawn(other))
    fibril.joinall(tasks)
    text = " ".join(order)
    assert text.count("step") == 10
    assert "step step" not in text


def test_who_comes_alone_does_not_wait(fresh: None) -> None:
    turn = Turn(fibril.get_hub())
    others: list[int] = []
    fibril.spawn(others.append, 1)
    turn.take()
    assert others == []
    fibril.sleep(0)


@pytest.mark.parametrize("killed", ["who has it", "who stands in line"])
def test_who_is_killed_gives_the_turn_on(fresh: None, killed: str) -> None:
    turn = Turn(fibril.get_hub())
    done: list[int] = []

    def step(number: int) -> None:
        turn.take()
        fibril.sleep(0.001)
        done.append(number)

    tasks = [fibril.spawn(step, number) for number in range(4)]
    fibril.sleep(0)
    victim = 0 if killed == "who has it" else 2
    tasks[victim].kill()
    fibril.joinall(tasks)
    assert done == [number for number in range(4) if number != victim]


def test_a_step_that_needs_another_does_not_wait_for_itself(fresh: None) -> None:
    """A callback of the program's, inside a handshake, may connect to somebody with TLS."""
    turn = Turn(fibril.get_hub())
    done: list[str] = []

    def step(inner: Any = None) -> None:
        turn.take()
        if inner is not None:
            fibril.spawn(inner).join()
        done.append("inner" if inner is None else "outer")

    step(step)
    assert done == ["inner", "outer"]


def test_a_forked_child_does_not_wait_for_those_in_line(interpreter: Any) -> None:
    out = interpreter.out("""
        import os
        from types import SimpleNamespace
        import fibril
        from fibril import ssl
        engine = SimpleNamespace(do_handshake=lambda: None)
        def fork():
            ssl._shake(engine)  # and the hub has not given the turn on
            if os.fork() == 0:
                ssl._shake(engine)
                print("child", flush=True)
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.wait()[1]))
        fibril.spawn(fork).join()
    """)
    assert out == "child\n0\n"
