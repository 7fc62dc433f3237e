"""The demo on a terminal: live charts drawn with rich, readable from 80 columns by 24 lines.

While a `Live` is open, its thread draws about 15 times a second from figures that the stages
change; so no method here draws by itself except at the end of a stage. Colours follow NO_COLOR.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from figures import Echo, Figures, Page, Run
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from view import phases

LABEL = 9
COLOURS = {"one after another": "yellow", "with fibril": "green"}
HALVES = {(False, False): " ", (True, False): "▌", (False, True): "▐", (True, True): "█"}
SPARKS = "▁▂▃▄▅▆▇█"


def axis(seconds: float, width: int) -> Text:
    """The line under a chart: about five round times, each under its column."""
    least = seconds / 5
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    line = "0"
    for mark in range(1, int(seconds / step) + 1):
        label = f"{mark * step:g} s"
        line = line.ljust(int(mark * step / seconds * width) - len(label) + 1) + label
    return Text(line, style="dim", no_wrap=True)


def solid_bar(page: Page, run: Run, scale_s: float, width: int) -> Text:
    """One page of a run, until now, in half columns of a common scale."""
    if page.begin is None or run.begin is None:
        return Text(" " * width)
    halves = 2 * width / scale_s
    first = int((page.begin - run.begin) * halves)
    end = max(first + 1, int(((page.end or time.monotonic()) - run.begin) * halves))
    filled = [first <= half < end for half in range(2 * width)]
    cells = [HALVES[left, right] for left, right in zip(filled[::2], filled[1::2], strict=True)]
    return Text("".join(cells), style=COLOURS[run.name], no_wrap=True)


def spark_line(rates: list[float], width: int) -> str:
    """The last rates as a little chart."""
    top = max(rates, default=0) or 1
    return "".join(SPARKS[int(rate / top * (len(SPARKS) - 1))] for rate in rates[-width:])


class Screen:
    """The view for terminals."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def fetching(self, plain: Run, fibril: Run, latency_s: float) -> Iterator[None]:
        title = f"{len(plain.pages)} pages of {latency_s:g} s, fetched with unmodified requests"
        least_s = latency_s * len(plain.pages) * 1.1

        def draw() -> RenderableType:
            return self._race(title, [plain, fibril], max(least_s, plain.seconds, 0.01))

        with self._live(draw):
            yield

    def page(self, run: Run, page: Page) -> None:
        """Nothing: the chart is drawn from the run."""

    def timeline(self, run: Run) -> None:
        width = min(100, self._console.width - LABEL - 20)
        colour = COLOURS[run.name]
        chart = Table.grid(padding=(0, 1))
        for page in run.pages:
            before, send, wait, read = phases(page, run, width)
            bar = Text(" " * before).append("█" * send, colour).append("─" * wait, "dim " + colour)
            bar.append("█" * read, colour)
            size, took = f"{page.bytes / 1e3:.0f} kB", f"{page.seconds:.2f} s"
            chart.add_row(f"page {page.number:2}", Text(f"{size:>7}"), bar, took)
        chart.add_row("", "", axis(run.seconds, width), "")
        self._console.print(Text(f"The {len(run.pages)} tasks with fibril, ", style="bold"), end="")
        self._console.print(Text("█ sending and reading, ─ waiting for the server", style=colour))
        self._console.print(chart)

    @contextmanager
    def echoing(self, echo: Echo) -> Iterator[None]:
        with self._live(lambda: self._echo(echo)):
            yield

    def echoed(self, echo: Echo) -> None:
        """Nothing: the panel is drawn from the figures."""

    def summary(self, figures: Figures) -> None:
        table = Table.grid(padding=(0, 3))
        table.add_column(style="dim")
        table.add_column(style="bold", justify="left")
        for what, how_much in figures.rows():
            table.add_row(what, how_much)
        self._console.print(Panel.fit(table, title="fibril in figures", border_style="green"))

    def _live(self, draw: Callable[[], RenderableType]) -> Live:
        return Live(get_renderable=draw, console=self._console, refresh_per_second=15)

    def _race(self, title: str, runs: list[Run], scale_s: float) -> RenderableType:
        width = min(60, (self._console.width - LABEL - 3) // 2)
        chart = Table.grid(padding=(0, 2))
        heads = [
            Text(f"{run.name}  {run.seconds:5.2f} s", style="bold " + COLOURS[run.name])
            for run in runs
        ]
        chart.add_row("", *heads)
        for pages in zip(*(run.pages for run in runs), strict=True):
            bars = [solid_bar(p, run, scale_s, width) for p, run in zip(pages, runs, strict=True)]
            chart.add_row(f"page {pages[0].number:2}", *bars)
        chart.add_row("", *(axis(scale_s, width) for _ in runs))
        return Group(Text(title, style="bold"), chart)

    def _echo(self, echo: Echo) -> RenderableType:
        width = min(60, self._console.width - 30)
        done = ProgressBar(total=echo.limit_s, completed=echo.seconds, width=width)
        chart = Table.grid(padding=(0, 2))
        chart.add_row(Text(spark_line(echo.rates, width), "green"), f"{echo.rate:,.0f} messages/s")
        chart.add_row(done, f"{echo.messages:,} echoed")
        title = f"{echo.connections:,} connections to an echo server of straight-line code"
        return Group(Text(title, style="bold"), chart)
