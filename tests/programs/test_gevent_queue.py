"""Seed program 4: a producer and a consumer around a queue of three.

As written it gives both functions an argument that they do not take, so both tasks fail and the
program ends. With the argument removed it runs for ever; then the printed lines tell how full the
queue was.
"""

from pathlib import Path

import pytest

from tests.programs.child import Start

CAPACITY = 3
LINES = 3000


@pytest.fixture
def mended(examples: Path, tmp_path: Path) -> str:
    """The path of a copy in which the functions are spawned without the argument."""
    source = (examples / "seed" / "4_gevent_queue.py").read_text("utf-8")
    assert source.count(", queue)") == 2
    program = tmp_path / "4_gevent_queue_mended.py"
    program.write_text(source.replace(", queue)", ")"), "utf-8")
    return str(program)


@pytest.fixture
def output(start: Start, run_under: list[str], mended: str, seed: int) -> list[tuple[str, int]]:
    """The first lines of the mended program, as (what was done, number)."""
    child = start([*run_under, mended], FIBRIL_TEST_SEED=str(seed))
    verbs_and_numbers = [line.partition("了") for line in child.lines(LINES)]
    assert child.errors() == ""
    child.terminate()
    return [(verb, int(number)) for verb, _, number in verbs_and_numbers]


def test_as_written_both_type_errors_are_printed_and_the_exit_code_is_0(
    start: Start, run_under: list[str], examples: Path
) -> None:
    child = start([*run_under, str(examples / "seed" / "4_gevent_queue.py")])
    assert child.rest() == ""
    assert child.finish() == 0
    errors = child.errors()
    assert errors.count("Traceback (most recent call last)") == 2
    for name in ("Producer", "Consumer"):
        message = f"TypeError: {name}() takes 0 positional arguments but 1 was given"
        assert errors.count(message) == 1


def test_producer_fills_the_queue_before_the_consumer_first_runs(
    output: list[tuple[str, int]],
) -> None:
    # The producer was spawned first, so it runs until a put blocks: three puts that succeed and
    # the fourth, whose number is printed before it is put. This one is exact: a queue of any
    # other size changes the place of the first 消费.
    verbs = [verb for verb, _ in output]
    assert verbs.index("消费") == CAPACITY + 1


def test_never_more_than_three_items_wait(output: list[tuple[str, int]]) -> None:
    # A line is printed before its put and after its get. So with P and C lines printed, P or P-1
    # puts and C or C+1 gets are done, and as many items wait as puts exceed gets. The most lines
    # that a queue of three allows is therefore P - C = 3 waiting
    # + 1 printed, its put blocked + 1 taken by a get whose line is not printed yet.
    ahead = 0
    for verb, _ in output:
        ahead += 1 if verb == "生产" else -1
        assert 0 <= ahead <= CAPACITY + 2


def test_numbers_are_consumed_in_the_order_they_were_produced(
    output: list[tuple[str, int]],
) -> None:
    produced = [number for verb, number in output if verb == "生产"]
    consumed = [number for verb, number in output if verb == "消费"]
    assert len(consumed) >= LINES // 2 - CAPACITY
    assert consumed == produced[: len(consumed)]
