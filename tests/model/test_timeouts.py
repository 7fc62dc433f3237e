"""Timeouts in each other, with kills, against the model: whose block ends, when, and how."""

from typing import Any

from hypothesis import strategies as st

import fibril
from fibril import Timeout
from fibril.event import Event
from tests.model import models
from tests.model.machine import SECONDS, TIMEOUTS, Machine, Script, Side, compare, operation
from tests.model.world import Body, Failure


class FibrilBlocks:
    def __init__(self, side: Side) -> None:
        self.side = side
        event = Event()
        self.set, self.clear, self.wait = event.set, event.clear, event.wait

    def within(self, seconds: float | None, throws: Any, inner: Script) -> str:
        mine = Timeout(seconds, throws)
        try:
            with mine:
                self.side.run_all(inner)
        except Timeout as struck:
            self.side.note("mine" if struck is mine else "another's")
            raise
        return "over"

    def limited(self, seconds: float | None, inner: Script) -> Any:
        return fibril.with_timeout(seconds, self.side.run_all, inner, timeout_value="late")


class ModelBlocks:
    def __init__(self, side: Side) -> None:
        self.side = side
        event = models.Event(side.world)
        self.set, self.clear, self.wait = event.set, event.clear, event.wait

    def limited_run(self, limit: models.Limit, inner: Script) -> Body:
        try:
            yield from self.side.run_all(inner)
        finally:
            limit.cancel()

    def within(self, seconds: float | None, throws: Any, inner: Script) -> Body:
        error = throws() if throws else Timeout(seconds)
        limit = models.Limit(self.side.world, seconds, error)
        try:
            yield from self.limited_run(limit, inner)
        except Timeout as struck:
            if throws is False and struck is error:
                return "over"
            self.side.note("mine" if struck is error else "another's")
            raise
        return "over"

    def limited(self, seconds: float | None, inner: Script) -> Body:
        error = Timeout(seconds)
        try:
            yield from self.limited_run(models.Limit(self.side.world, seconds, error), inner)
        except Timeout as struck:
            if struck is error:
                return "late"
            raise


LIMITS = st.sampled_from([None, 0, 1, 2, 3, 4])
THROWS = st.sampled_from([None, None, False, Failure])
PLAIN = st.one_of(operation("sleep", SECONDS), operation("wait", TIMEOUTS), operation("set"))


def block(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    inner = st.lists(inside, min_size=1, max_size=3)
    return st.one_of(
        *[operation("within", LIMITS, THROWS, inner)] * 3, operation("limited", LIMITS, inner)
    )


NESTED = block(st.one_of(PLAIN, block(st.one_of(PLAIN, block(PLAIN)))))
BLOCKS = Machine(
    fibril=FibrilBlocks,
    model=ModelBlocks,
    operations=st.one_of(*[NESTED] * 3, PLAIN),
    instant=st.one_of(operation("set"), operation("clear")),
)


def test_timeouts_do_what_the_model_does() -> None:
    compare(BLOCKS)
