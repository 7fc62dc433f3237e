"""How the demo is shown: what a view must do, and the view that prints plain lines.

Plain lines are for pipes, logs and terminals that cannot do more: ASCII, no control characters, one
line for each thing that happened. `screen.py` is the view for terminals.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from figures import Echo, Figures, Page, Run

WORK, WAIT = "#", "-"


class View(Protocol):
    """What the stages tell whoever shows them."""

    def fetching(
        self, plain: Run, fibril: Run, latency_s: float
    ) -> AbstractContextManager[None]: ...
    def page(self, run: Run, page: Page) -> None: ...
    def timeline(self, run: Run) -> None: ...
    def echoing(self, echo: Echo) -> AbstractContextManager[None]: ...
    def echoed(self, echo: Echo) -> None: ...
    def summary(self, figures: Figures) -> None: ...


def phases(page: Page, run: Run, width: int) -> list[int]:
    """Columns of a page's bar: before its turn, sending, waiting for the server, reading.

    Sending and reading are at least one column wide, or they would not be seen.
    """
    first = run.begin or 0.0
    scale = width / run.seconds
    begin, asked, answered, end = (round((at - first) * scale) for at in page.times)
    end = max(end, min(begin + 3, width))
    begin = min(begin, end - 3)
    asked = max(asked, begin + 1)
    answered = min(max(answered, asked), end - 1)
    return [begin, asked - begin, answered - asked, end - answered]


class Lines:
    """The view that prints plain lines."""

    @contextmanager
    def fetching(self, plain: Run, fibril: Run, latency_s: float) -> Iterator[None]:
        print(f"{len(plain.pages)} pages, {latency_s:g} s each, fetched with unmodified requests")
        yield
        for run in (plain, fibril):
            print(f"{run.name}: {run.seconds:.2f} s in all")

    def page(self, run: Run, page: Page) -> None:
        if page.end is not None:
            what = f"page {page.number:2}, {page.bytes:7,} bytes, {page.seconds:.2f} s"
            print(f"{run.name}: {what}", flush=True)

    def timeline(self, run: Run) -> None:
        print(f"the tasks {run.name}: {WORK} sending and reading, {WAIT} waiting for the server")
        for page in run.pages:
            before, send, wait, read = phases(page, run, 60)
            print(f"page {page.number:2} |{' ' * before}{WORK * send}{WAIT * wait}{WORK * read}")

    @contextmanager
    def echoing(self, echo: Echo) -> Iterator[None]:
        print(f"{echo.connections:,} connections to an echo server, {echo.limit_s:g} s", flush=True)
        yield

    def echoed(self, echo: Echo) -> None:
        if len(echo.rates) % 10 == 0 or echo.lost is not None:
            print(f"{echo.seconds:4.1f} s: {echo.messages:9,} messages", flush=True)

    def summary(self, figures: Figures) -> None:
        for what, how_much in figures.rows():
            print(f"{what:30} {how_much}")
