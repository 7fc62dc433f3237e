"""Processes and pipes: starting `true` and waiting for it, and messages to and fro.

Wall time, on one core that the children share, because most of it passes in the kernel and in the
child; the best of several chunks, because interference only ever adds. With a large heap: a fork
copies its page tables, and the first writes afterwards copy pages; vfork does neither.

The standard library has the thread to itself: it is what letting others run may cost. Messages have
64 bytes; a process answers them by `cat`, and a task by the other ends of two pipes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

import contest
from contest import Effort, Metric, Sample
from loops import asyncio_loop, uvloop_loop

HEAP_BYTES = 1_500_000_000
PAGE = 4096
MESSAGE = bytes(64)
CHUNK_MIN = 20
START, LARGE = "start and wait", "start and wait, 1.5 GB heap"
TASKS, CHILD = "to a task and back", "to a process and back"
Work = Callable[[int], object]


def wall_of(work: Work, effort: Effort) -> Sample:
    """A sample: microseconds of one of the n operations that `work(n)` does."""
    count = CHUNK_MIN
    while (took := _wall_s(work, count)) < effort.chunk_s:
        count *= 2
    del took
    best = min(_wall_s(work, count) for _ in range(effort.chunks))
    return {"us": best / count * 1e6}


def _wall_s(work: Work, count: int) -> float:
    start = time.perf_counter()
    work(count)
    return time.perf_counter() - start


def fill_heap() -> bytearray:
    heap = bytearray(HEAP_BYTES)
    heap[::PAGE] = bytes([1]) * len(range(0, HEAP_BYTES, PAGE))  # all of it is there
    return heap


# ---- in the words of the standard library ----


def start(subprocess: Any, effort: Effort) -> Sample:
    def work(count: int) -> None:
        for _ in range(count):
            subprocess.Popen(["true"]).wait()

    return wall_of(work, effort)


def start_large(subprocess: Any, effort: Effort) -> Sample:
    heap = fill_heap()
    sample = start(subprocess, effort)
    del heap
    return sample


def child(subprocess: Any, effort: Effort) -> Sample:
    pipe = subprocess.PIPE
    with subprocess.Popen(["cat"], stdin=pipe, stdout=pipe, bufsize=0) as process:

        def work(count: int) -> None:
            for _ in range(count):
                process.stdin.write(MESSAGE)
                process.stdout.read(len(MESSAGE))

        sample = wall_of(work, effort)
        process.stdin.close()
    return sample


def tasks(package: Any, pipe: Any, read: Any, write: Any, effort: Effort) -> Sample:
    (here, there_writer), (there, here_writer) = pipe(), pipe()

    def answer(count: int) -> None:
        for _ in range(count):
            write(there_writer, read(there, len(MESSAGE)))

    def work(count: int) -> None:
        answering = package.spawn(answer, count)
        for _ in range(count):
            write(here_writer, MESSAGE)
            read(here, len(MESSAGE))
        answering.join()

    return wall_of(work, effort)


# ---- in asyncio's ----

AsyncWork = Callable[[int], Coroutine[Any, Any, object]]


def on(
    new_loop: Callable[[], asyncio.AbstractEventLoop], work: AsyncWork, effort: Effort
) -> Sample:
    loop = new_loop()
    try:
        return wall_of(lambda count: loop.run_until_complete(work(count)), effort)
    finally:
        loop.close()


async def start_async(count: int) -> None:
    for _ in range(count):
        await (await asyncio.create_subprocess_exec("true")).wait()


async def child_async(count: int) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
    assert process.stdin
    assert process.stdout
    for _ in range(count):
        process.stdin.write(MESSAGE)
        await process.stdout.readexactly(len(MESSAGE))
    process.stdin.close()
    await process.wait()


async def streams() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Both ends of a pipe."""
    loop = asyncio.get_running_loop()
    source, target = os.pipe()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0)
    )
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(target, "wb", 0)
    )
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


async def tasks_async(count: int) -> None:
    (here, there_writer), (there, here_writer) = await streams(), await streams()

    async def answer() -> None:
        for _ in range(count):
            there_writer.write(await there.readexactly(len(MESSAGE)))

    answering = asyncio.create_task(answer())
    for _ in range(count):
        here_writer.write(MESSAGE)
        await here.readexactly(len(MESSAGE))
    await answering
    there_writer.close()
    here_writer.close()


def start_large_on(new_loop: Callable[[], asyncio.AbstractEventLoop], effort: Effort) -> Sample:
    heap = fill_heap()
    sample = on(new_loop, start_async, effort)
    del heap
    return sample


# ---- who takes part ----


def of_fibril(case: Callable[[Any, Effort], Sample]) -> Callable[[Effort], Sample]:
    def run(effort: Effort) -> Sample:
        from fibril import subprocess

        return case(subprocess, effort)

    return run


def of_gevent(case: Callable[[Any, Effort], Sample]) -> Callable[[Effort], Sample]:
    def run(effort: Effort) -> Sample:
        from gevent import subprocess

        return case(subprocess, effort)

    return run


def of_stdlib(case: Callable[[Any, Effort], Sample]) -> Callable[[Effort], Sample]:
    def run(effort: Effort) -> Sample:
        import subprocess

        return case(subprocess, effort)

    return run


def fibril_tasks(effort: Effort) -> Sample:
    import fibril
    from fibril.os import read, write

    return tasks(fibril, os.pipe, read, write, effort)


def gevent_tasks(effort: Effort) -> Sample:
    import gevent
    from gevent.os import make_nonblocking, nb_read, nb_write

    def pipe() -> tuple[int, int]:
        ends = os.pipe()
        for end in ends:
            make_nonblocking(end)
        return ends

    return tasks(gevent, pipe, nb_read, nb_write, effort)


def of_loop(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> contest.Contender:
    return {
        START: lambda effort: on(new_loop, start_async, effort),
        LARGE: lambda effort: start_large_on(new_loop, effort),
        CHILD: lambda effort: on(new_loop, child_async, effort),
        TASKS: lambda effort: on(new_loop, tasks_async, effort),
    }


CONTEST = contest.Contest(
    name="process",
    title="Processes and pipes",
    how="`Popen(['true']).wait()`, and 64 bytes through two pipes and back, to `cat` or to a task. "
    "fibril and gevent: their `subprocess`, and `os.read`, `os.write`; asyncio: its subprocesses "
    "and streams. Wall time on one core, children included.",
    metrics=(Metric("us", "µs", digits=1),),
    contenders={
        "fibril": {
            START: of_fibril(start),
            LARGE: of_fibril(start_large),
            CHILD: of_fibril(child),
            TASKS: fibril_tasks,
        },
        "gevent": {
            START: of_gevent(start),
            LARGE: of_gevent(start_large),
            CHILD: of_gevent(child),
            TASKS: gevent_tasks,
        },
        "asyncio": of_loop(asyncio_loop),
        "uvloop": of_loop(uvloop_loop),
        "standard library (limit)": {
            START: of_stdlib(start),
            LARGE: of_stdlib(start_large),
            CHILD: of_stdlib(child),
        },
    },
)

if __name__ == "__main__":
    contest.main(CONTEST)
