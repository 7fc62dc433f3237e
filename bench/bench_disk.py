"""Files on disks: 10,000 reads of 4 KiB by 64 tasks, from a file that is not in memory, and in it.

Each task opens the file for itself, and reads at places of its own. Reads a second, and CPU time of
the whole process for each, its threads included. For a file that is not in memory the kernel is
asked to forget it before each chunk, and told not to read ahead; what the disk does is the same for
all. "its pool": fibril's native threads, which a read waits for where the kernel has no ring.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import contest
from contest import Effort, Metric, Sample

TASKS = 64
READS = 10_000
PART = 4096
FILE_BYTES = 256 << 20
COLD, WARM = f"{TASKS} tasks, not in memory", f"{TASKS} tasks, in memory"
Reading = Callable[[str, list[int]], None]


@contextmanager
def file_of_its_own() -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent.parent / "build") as folder:
        path = os.path.join(folder, "data")
        with open(path, "wb") as file:
            file.writelines(os.urandom(1 << 20) for _ in range(FILE_BYTES >> 20))
            file.flush()
            os.fsync(file.fileno())
        yield path


def prepare(path: str, is_cold: bool) -> None:
    with open(path, "rb") as file:
        if is_cold:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        else:
            while file.read(1 << 20):
                pass


def cpu_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def reads_of(run: Callable[[str, list[list[int]]], None], is_cold: bool, effort: Effort) -> Sample:
    """The best of several chunks, by its rate."""
    samples = []
    with file_of_its_own() as path:
        for chunk in range(effort.chunks):
            places = random.Random(chunk).sample(range(FILE_BYTES // PART), READS)
            shares = [[place * PART for place in places[task::TASKS]] for task in range(TASKS)]
            prepare(path, is_cold)
            start, start_cpu = time.perf_counter(), cpu_s()
            run(path, shares)
            took, cpu = time.perf_counter() - start, cpu_s() - start_cpu
            samples.append({"reads_per_s": READS / took, "cpu_us": cpu / READS * 1e6})
    return max(samples, key=lambda sample: sample["reads_per_s"])


def read_all(file: Any, places: list[int]) -> None:
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
    for place in places:
        file.seek(place)
        assert len(file.read(PART)) == PART


# ---- who reads ----


def fibril(path: str, shares: list[list[int]]) -> None:
    import fibril
    from fibril import fileobject

    def read(places: list[int]) -> None:
        with fileobject.open(path, "rb", buffering=0) as file:
            read_all(file, places)

    fibril.joinall([fibril.spawn(read, places) for places in shares], raise_error=True)


def fibril_pool(path: str, shares: list[list[int]]) -> None:
    import fibril

    def read(places: list[int]) -> None:
        with open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for place in places:
                assert len(fibril.offload(os.pread, file.fileno(), PART, place)) == PART

    fibril.joinall([fibril.spawn(read, places) for places in shares], raise_error=True)


def gevent(path: str, shares: list[list[int]]) -> None:
    import gevent
    from gevent.fileobject import FileObjectThread

    def read(places: list[int]) -> None:
        with FileObjectThread(path, "rb", buffering=0) as file:
            read_all(file, places)

    gevent.joinall([gevent.spawn(read, places) for places in shares], raise_error=True)


def asyncio_threads(path: str, shares: list[list[int]]) -> None:
    async def read(places: list[int]) -> None:
        with open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for place in places:
                assert len(await asyncio.to_thread(os.pread, file.fileno(), PART, place)) == PART

    async def read_all_places() -> None:
        await asyncio.gather(*(read(places) for places in shares))

    asyncio.run(read_all_places())


def cases_of(run: Callable[[str, list[list[int]]], None]) -> dict[str, Callable[[Effort], Sample]]:
    return {
        COLD: lambda effort: reads_of(run, True, effort),
        WARM: lambda effort: reads_of(run, False, effort),
    }


CONTEST = contest.Contest(
    name="disk",
    title="Reads of 4 KiB from a file",
    how="`fileobject.open`; its pool: `offload(os.pread)`; gevent: `FileObjectThread`; asyncio: "
    "`to_thread(os.pread)`.",
    metrics=(
        Metric("reads_per_s", "reads/s", is_more_better=True),
        Metric("cpu_us", "CPU, µs/read", digits=1),
    ),
    contenders={
        "fibril": cases_of(fibril),
        "its pool": cases_of(fibril_pool),
        "gevent": cases_of(gevent),
        "asyncio": cases_of(asyncio_threads),
    },
    is_pinned=False,
)

if __name__ == "__main__":
    contest.main(CONTEST)
