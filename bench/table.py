"""Tables that read the same on a terminal and in Markdown: padded, with a verdict in words."""

from __future__ import annotations

from contest import Metric
from summary import FIBRIL, Row, gain

EVEN = 1.03  # closer than this, and the noise decides who is ahead


def render(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table; the first and the last column hold words, the others figures."""
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    is_words = [i in (0, len(head) - 1) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        padded = (
            cell.ljust(width) if words else cell.rjust(width)
            for cell, width, words in zip(cells, widths, is_words, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * w if words else "-" * (w - 1) + ":" for w, words in zip(widths, is_words, strict=True)
    ]
    return "\n".join(map(line, [head, rule, *body]))


def table_of(rows: list[Row], metrics: tuple[Metric, ...]) -> str:
    """One case: a line per contender, a column per metric, ratios where they are compared."""
    head = [""]
    for metric in metrics:
        head += [metric.label, "fibril = 1"] if metric.is_compared else [metric.label]
    return render([*head, ""], [_line(row, metrics) for row in rows])


def _line(row: Row, metrics: tuple[Metric, ...]) -> list[str]:
    cells = [row.contender]
    for metric in metrics:
        cells.append(_number(row.medians.get(metric.key), metric.digits))
        if metric.is_compared:
            cells.append(_number(row.ratios.get(metric.key), 2))
    return [*cells, _note(row, metrics[0])]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _note(row: Row, metric: Metric) -> str:
    notes = []
    if row.contender != FIBRIL and metric.key in row.ratios:
        notes.append(verdict(gain(row.ratios[metric.key], metric), metric))
    if row.errors:
        share = f" {len(row.errors)} of {row.turns} times" if row.medians else ""
        notes.append(f"**failed**{share}: {row.errors[-1]}".replace("|", "/"))
    elif row.calm < row.turns:
        notes.append(f"{row.calm or 'none'} of {row.turns} rounds undisturbed")
    return "; ".join(notes)


def verdict(times: float, metric: Metric) -> str:
    """In words, how fibril does against a rival; a defeat is marked as one."""
    if 1 / EVEN < times < EVEN:
        return "even"
    better, worse = metric.words
    if times > 1:
        return f"fibril is {in_figures(times)} times {better}"
    return f"**fibril loses**: {in_figures(1 / times)} times {worse}"


def in_figures(times: float) -> str:
    """A ratio, to three figures."""
    return f"{times:.3g}" if times < 999.5 else f"{float(f'{times:.3g}'):,.0f}"
