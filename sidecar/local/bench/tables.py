"""How a report looks on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import machine
from .budgets import OURS, Figures, Verdict, number
from .results import COMPARED, Report, RowResult

UNITS: Mapping[str, str] = {
    "visible": "close to visible {} s",
    "p50": "close to synced p50 {} ms",
    "p99": "p99 {} ms",
    "idle": "{} % of a core",
    "calls": "{} calls for each 1,000",
    "start": "ready after {} s",
    "waiting": "{} waiting",
    "growth": "{} times the first cost",
}
TRANSPORTS = {"plain": "plain", "tls": "TLS"}


def show(console: Console, report: Report) -> None:
    """Print the figures, the budgets, and what is to be known of both."""
    console.print(_figures(report))
    if any(True for _ in report.verdicts()):
        console.print(_budgets(report))
    for line in notes(report):
        console.print(f"[yellow]{escape(line)}[/]", highlight=False)
    console.print(f"[dim]{escape(machine.sentence(dict(report.machine)))}[/]", highlight=False)


def notes(report: Report) -> Iterator[str]:
    """Yield what a reader must know: what is missing, what failed, what makes the figures weak."""
    for name, command in report.missing.items():
        yield f"{name} is not installed, so it is not in the table: {command}"
    for result in report.rows:
        for tool, why in result.failures.items():
            yield f"{result.key}, {tool}: {why}"
    yield from report.notes


def besides(figures: Figures) -> str:
    """Return the figures that only some rows have."""
    return ", ".join(text.format(number(figures[name])) for name, text in UNITS.items() if name in figures)


def _figures(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Time, CPU (servers not counted) and most memory; medians")
    table.add_column("", no_wrap=True)
    for column in ("time s", "CPU s", "MiB", "x s5cmd", "x floor"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for result in report.rows:
        table.add_section()
        table.add_row(f"[bold]{escape(result.row.title)}[/], {TRANSPORTS[result.transport]}")
        for tool, figures in result.medians().items():
            style = "bold cyan" if tool == OURS else ""
            table.add_row(f"  {tool}", *_cells(result, tool, figures), besides(figures), style=style)
    return table


def _cells(result: RowResult, tool: str, figures: Figures) -> Iterator[str]:
    found = result.medians()
    yield from (number(figures[name]) if name in figures else "" for name in ("wall", "cpu", "rss"))
    for peer in COMPARED:
        other = found.get(peer)
        yield "" if other is None or tool == peer else _ratio(figures, other)


def _ratio(figures: Figures, other: Figures) -> str:
    name = "visible" if "visible" in other else "wall"
    return " / ".join(number(figures[one] / other[one]) for one in (name, "cpu") if other.get(one))


def _budgets(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Budgets")
    for column in ("", "at most", "measured"):
        table.add_column(column)
    for result, verdict in report.verdicts():
        colour, sign = mark(verdict)
        name = f"{escape(result.row.title)}, {TRANSPORTS[result.transport]}"
        table.add_row(name, str(verdict.budget), f"[{colour}]{sign} {verdict.words}[/]")
    return table


def mark(verdict: Verdict) -> tuple[str, str]:
    """Return the colour and the sign of a verdict."""
    if verdict.is_met is None:
        return "dim", "?"
    return ("green", "✓") if verdict.is_met else ("red", "✗")
