"""asyncio's contenders: the same coroutine on the standard library's loop and on uvloop's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from contest import Effort, Sample
from cost import cost_of

Work = Callable[[int], Coroutine[Any, Any, object]]


def asyncio_loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def uvloop_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def cost_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop], work: Work, effort: Effort
) -> Sample:
    """A sample of `work(n)`, a coroutine that does n operations, on a new loop."""
    loop = new_loop()
    try:
        return cost_of(lambda count: loop.run_until_complete(work(count)), effort)
    finally:
        loop.close()


def on_both(work: Work) -> tuple[Callable[[Effort], Sample], Callable[[Effort], Sample]]:
    """The functions of the contenders asyncio and uvloop for one case."""
    return (
        lambda effort: cost_on(asyncio_loop, work, effort),
        lambda effort: cost_on(uvloop_loop, work, effort),
    )
