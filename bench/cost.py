"""What one operation costs: CPU time per operation of a function that does n of them.

CPU time, not wall time: these programs never wait, so on a quiet machine the two are the same, and
on a busy one the neighbours' share is left out. The best of several chunks is taken, because
interference only ever adds. The collector stays on, with its default settings, in every contender.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from contest import Effort, Metric

NANOSECONDS = (Metric("ns", "ns"),)


def cost_of(work: Callable[[int], object], effort: Effort) -> dict[str, float]:
    """A sample: the CPU time in ns of one of the n operations that `work(n)` does."""
    count = _count_for(work, effort.chunk_s)
    best = min(_cpu_s(work, count) for _ in range(effort.chunks))
    return {"ns": best / count * 1e9}


def _count_for(work: Callable[[int], object], chunk_s: float) -> int:
    """How many operations take about chunk_s; finding out is the warm-up."""
    count = 1000
    while (took := _cpu_s(work, count)) < chunk_s / 2:
        count *= 2
    return max(1000, int(count * chunk_s / took) // 1000 * 1000)


def _cpu_s(work: Callable[[int], object], count: int) -> float:
    start = time.process_time()
    work(count)
    return time.process_time() - start
