"""fibril.time: the standard library's names, and a sleep that lets others run."""

import inspect
import pickle
import time as stdlib
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import fibril
from fibril import time


class Indexed:
    """A number by __index__ only."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        return f"Indexed({self.number})"


NUMBERS = [0, 0.0, -0.0, True, False, Indexed(0), 1e-9, Fraction(1, 10**6), Decimal("1e-6")]
REFUSED = [
    *(-1, -1e-12, Indexed(-1), float("nan"), float("inf"), float("-inf"), 1e10, 10**30, -(10**30)),
    *(2**63, 10**400, "1", b"1", None, 1j, Indexed(10**30)),
]


def outcome(sleep: Any, number: Any) -> str:
    try:
        return repr(sleep(number))
    except Exception as error:
        return type(error).__name__


def test_it_offers_all_that_the_standard_library_has() -> None:
    offered = {name: getattr(time, name) for name in time.__all__}
    names = [name for name in vars(stdlib) if not name.startswith("_")]
    assert offered.pop("sleep") is not stdlib.sleep
    assert offered == {name: getattr(stdlib, name) for name in names if name != "sleep"}


@pytest.mark.parametrize("number", [*NUMBERS, *REFUSED], ids=repr)
def test_sleep_takes_and_refuses_what_the_standard_librarys_does(number: object) -> None:
    assert outcome(time.sleep, number) == outcome(stdlib.sleep, number)


def test_a_class_that_keeps_sleep_does_not_make_it_a_method() -> None:
    class Clock:
        pause = time.sleep

    assert Clock().pause(0) is None


def test_sleep_is_a_function_of_fibril_time_that_tells_its_signature() -> None:
    assert (time.sleep.__module__, time.sleep.__name__) == ("fibril.time", "sleep")
    assert pickle.loads(pickle.dumps(time.sleep)) is time.sleep
    assert str(inspect.signature(time.sleep)) == "(seconds, /)"
    assert not hasattr(time.sleep, "__dict__")  # xmlrpc does not take it for data


def test_sleep_lets_others_run() -> None:
    ran: list[int] = []
    task = fibril.spawn(ran.append, 1)
    time.sleep(0)
    assert ran == [1]
    task.join()
