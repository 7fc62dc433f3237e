"""For tests of programs that use fibril: time that costs nothing, and what must switch or not."""

from fibril.errors import FailedToSwitch, UnexpectedSwitch
from fibril.testing.clock import SimClock, simulated
from fibril.testing.standstill import wait_all_parked
from fibril.testing.switches import assert_no_switch, assert_switches

__all__ = [
    "FailedToSwitch",
    "SimClock",
    "UnexpectedSwitch",
    "assert_no_switch",
    "assert_switches",
    "simulated",
    "wait_all_parked",
]
