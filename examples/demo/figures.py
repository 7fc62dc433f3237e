"""What the demo measures: when each page was fetched, and how far the echo clients are.

The stages write into these, the views read them, also while they are being written: every field is
replaced whole, so a reader sees the old value or the new one. Nothing here prints.
"""

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Page:
    """One page of one run; the times are None until they have come."""

    number: int
    begin: float | None = None  # its turn came
    asked: float | None = None  # the request was at the server
    answered: float | None = None  # the server began to answer
    end: float | None = None  # all of it is here, and checked
    bytes: int = 0

    @property
    def times(self) -> tuple[float, float, float, float]:
        """Begin, asked, answered and end of a page that is here."""
        begin, asked, answered, end = self.begin, self.asked, self.answered, self.end
        if begin is None or asked is None or answered is None or end is None:
            raise ValueError(f"page {self.number} is not here yet")
        return begin, asked, answered, end

    @property
    def seconds(self) -> float:
        """From its turn until it was here."""
        return self.times[3] - self.times[0]


@dataclass
class Run:
    """The pages of one run of fetch.py."""

    name: str
    pages: list[Page]

    @classmethod
    def of(cls, name: str, count: int) -> "Run":
        """A run that has not begun."""
        return cls(name, [Page(number) for number in range(1, count + 1)])

    def note(self, event: dict[str, Any]) -> Page:
        """Take in one line of fetch.py; the page that it is about."""
        page = self.pages[int(event["page"]) - 1]
        if event.get("is_intact") is False:
            raise RuntimeError(f"page {page.number} did not arrive as it was sent")
        for fact in event.keys() & vars(page).keys():
            setattr(page, fact, event[fact])
        return page

    @property
    def begin(self) -> float | None:
        """When the first page's turn came."""
        return min((page.begin for page in self.pages if page.begin is not None), default=None)

    @property
    def is_over(self) -> bool:
        """Whether all pages are here."""
        return all(page.end is not None for page in self.pages)

    @property
    def seconds(self) -> float:
        """From the first page's turn to the last page's end, or to now."""
        if self.begin is None:
            return 0.0
        ends = [page.end for page in self.pages if page.end is not None]
        return (max(ends) if self.is_over else time.monotonic()) - self.begin

    @property
    def peak(self) -> int:
        """The most pages that were on their way at the same time."""
        turns = [(page.begin, 1) for page in self.pages if page.begin is not None]
        ends = [(page.end, -1) for page in self.pages if page.end is not None]
        on_the_way = peak = 0
        for _, change in sorted(turns + ends):
            on_the_way += change
            peak = max(peak, on_the_way)
        return peak


@dataclass
class Echo:
    """The echo stage: what the clients reported last, and what the server needs."""

    connections: int
    limit_s: float
    seconds: float = 0.0
    messages: int = 0
    lost: int | None = None  # None until the clients are done
    rates: list[float] = field(default_factory=list)  # messages per second, one for each report
    idle_bytes: int = 0  # memory of the server before the first connection
    peak_bytes: int = 0
    cpu_s: float = 0.0  # processor time that the server used for the messages

    def note(self, event: dict[str, Any]) -> None:
        """Take in one line of echo_client.py."""
        if event["trouble"]:
            raise RuntimeError(f"echo clients: {event['trouble']}")
        if passed := event["seconds"] - self.seconds:
            self.rates.append((event["messages"] - self.messages) / passed)
        self.seconds, self.messages = event["seconds"], event["messages"]
        self.lost = event.get("lost")

    @property
    def rate(self) -> float:
        """Messages per second over the whole stage."""
        return self.messages / self.seconds if self.seconds else 0.0

    @property
    def cpu_us_per_message(self) -> float:
        """What one message costs the server; the clients, on one core, may be the slower side."""
        return self.cpu_s / self.messages * 1e6 if self.messages else 0.0

    @property
    def bytes_per_connection(self) -> float:
        """What one connection, its task included, adds to the server's memory."""
        return max(0, self.peak_bytes - self.idle_bytes) / self.connections


@dataclass
class Figures:
    """All that the demo ends with."""

    plain: Run
    fibril: Run
    echo: Echo

    def rows(self) -> list[tuple[str, str]]:
        """The figures as (what, how much), ready to be shown."""
        pages = len(self.plain.pages)
        echo = self.echo
        megabytes, kilobytes = echo.peak_bytes / 1e6, echo.bytes_per_connection / 1e3
        return [
            (f"{pages} pages one after another", f"{self.plain.seconds:.2f} s"),
            (f"{pages} pages with fibril", f"{self.fibril.seconds:.2f} s"),
            ("speed-up", f"{self.plain.seconds / self.fibril.seconds:.1f} times"),
            ("pages on their way at once", f"{self.fibril.peak}"),
            ("echo connections, a task each", f"{echo.connections:,}"),
            ("messages echoed", f"{echo.messages:,}, {echo.lost or 'none'} lost"),
            ("messages per second", f"{echo.rate:,.0f}"),
            ("processor time of the server", f"{echo.cpu_us_per_message:.1f} us a message"),
            ("memory of the echo server", f"{megabytes:.1f} MB, {kilobytes:.1f} kB a connection"),
        ]
