"""File objects: what a print, a write or a line read costs after the patch, where nobody waits.

The rival is the same interpreter without the patch; that is the limit. gevent leaves these objects
as they are: two greenlets that print into one slow pipe disturb each other.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import contest
from contest import Effort, Sample
from cost import NANOSECONDS, cost_of

LINE = "GET /index.html HTTP/1.1 200 1270\n"
LINES_READ = 1000
LIMIT = "unpatched (limit)"


def print_lines(effort: Effort) -> Sample:
    with open(os.devnull, "w", encoding="utf-8") as out:

        def work(count: int) -> None:
            for _ in range(count):
                print("GET /index.html", 200, 1270, file=out)

        return cost_of(work, effort)


def write_lines(out: Any, line: Any, effort: Effort) -> Sample:
    with out:

        def work(count: int) -> None:
            write = out.write
            for _ in range(count):
                write(line)

        return cost_of(work, effort)


def write_text(effort: Effort) -> Sample:
    return write_lines(open(os.devnull, "w", encoding="utf-8"), LINE, effort)


def write_bytes(effort: Effort) -> Sample:
    return write_lines(open(os.devnull, "wb"), LINE.encode(), effort)


def read_lines(effort: Effort) -> Sample:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        file.write(LINE * LINES_READ)

        def work(count: int) -> None:
            for _ in range(count // LINES_READ):
                file.seek(0)
                for _ in range(LINES_READ):
                    file.readline()

        return cost_of(work, effort)


CASES: dict[str, Callable[[Effort], Sample]] = {
    "print, three things": print_lines,
    "a line, text": write_text,
    "a line, bytes": write_bytes,
    "readline, text": read_lines,
}


def patched(play: Callable[[Effort], Sample]) -> Callable[[Effort], Sample]:
    def case(effort: Effort) -> Sample:
        import fibril.monkey

        fibril.monkey.patch_all()
        return play(effort)

    return case


CONTEST = contest.Contest(
    name="files",
    title="File objects",
    how="Time of one call after patch_all(), and without it; to /dev/null, or from a file.",
    metrics=NANOSECONDS,
    contenders={"fibril": {name: patched(play) for name, play in CASES.items()}, LIMIT: CASES},
)

if __name__ == "__main__":
    contest.main(CONTEST)
