"""gevent's tracer: it counts switches, and tells of one that has had the thread all the time."""

from typing import Any

import pytest

import fibril
from fibril import _core
from fibril.inspect.tracer import GreenletTracer

pytestmark = pytest.mark.usefixtures("fresh")


def test_it_counts_switches_until_it_is_killed() -> None:
    tracer = GreenletTracer()
    fibril.spawn(len, "abc").join()
    counted = tracer.greenlet_switch_counter
    assert counted > 0
    tracer.kill()
    tracer.kill()
    assert _core.gettrace() is None
    fibril.spawn(len, "abc").join()
    assert tracer.greenlet_switch_counter == counted


def test_it_tells_who_has_had_the_thread_since_it_was_last_asked() -> None:
    told: list[Any] = []

    def busy() -> None:
        told.append(tracer.did_block_hub(fibril.get_hub()))
        told.append(tracer.did_block_hub(fibril.get_hub()))
        tracer.ignore_current_greenlet_blocking()
        told.append(tracer.did_block_hub(fibril.get_hub()))
        tracer.monitor_current_greenlet_blocking()
        told.append(tracer.did_block_hub(fibril.get_hub()))

    tracer = GreenletTracer()
    task = fibril.spawn(busy)
    task.join()
    tracer.kill()
    assert told == [False, (True, task), False, (True, task)]


def test_who_waits_does_not_keep_the_thread() -> None:
    tracer = GreenletTracer()
    hub = fibril.get_hub()
    told: list[Any] = []
    pool = hub.threadpool
    task = fibril.spawn(fibril.sleep, 0.1)
    fibril.sleep(0)
    look = pool.spawn(lambda: told.extend(tracer.did_block_hub(hub) for _ in range(2)))
    task.join()
    look.get()
    tracer.kill()
    assert told[1] is False


def test_the_one_before_is_told_as_well_and_is_there_again() -> None:
    events: list[str] = []

    def before(event: str, pair: Any) -> None:
        events.append(event)

    class Mine(GreenletTracer):
        def _trace(self, event: str, args: Any) -> None:
            events.append("mine")
            super()._trace(event, args)

    _core.settrace(before)
    tracer = Mine()
    assert tracer.previous_trace_function is before
    fibril.spawn(len, "abc").join()
    assert events[:2] == ["mine", "switch"]
    tracer.kill()
    assert _core.gettrace() is before
    _core.settrace(None)
