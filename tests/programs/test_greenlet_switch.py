"""Seed program 1: a producer and a consumer that hand numbers over by explicit switches.

It never ends and sleeps a second per round, so its sleep is shortened and its first rounds are
read. A round is two lines, the producer's and then the consumer's, about the same number.
"""

import signal
from pathlib import Path

from tests.programs.child import Start

ROUNDS = 30


def test_producer_and_consumer_alternate_with_the_same_number(
    start: Start, run_under: list[str], examples: Path, seed: int
) -> None:
    program = str(examples / "seed" / "1_greenlet_switch.py")
    child = start(
        [*run_under, program], FIBRIL_TEST_SLEEP_FACTOR="0.001", FIBRIL_TEST_SEED=str(seed)
    )
    for line in range(ROUNDS):
        produced, consumed = child.lines(2)
        assert produced.startswith("pro生产了"), f"round {line}: {produced}"
        assert consumed == produced.replace("pro生产了", "消费了"), f"round {line}"
    assert child.terminate() == -signal.SIGTERM
    assert child.errors() == ""
