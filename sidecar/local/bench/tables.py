"""How a report looks on a terminal: a block for each row, its budgets below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
    "first_call": "first call after {} s",
    "waiting": "{} waiting",
    "growth": "{} times the first cost",
}
COST = "cost_"  # of a file in ms of CPU, beside so many
NAMES: Mapping[str, str] = {
    "wall": "time",
    "cpu": "CPU",
    "rss": "memory",
    "visible": "close to visible",
    "p50": "close to synced, p50",
    "p99": "close to synced, p99",
    "idle": "CPU when idle",
    "calls": "calls of Convex",
    "start": "start to ready",
    "growth": "a file's CPU",
}
TRANSPORTS = {"plain": "plain", "tls": "TLS"}
_COLUMNS = {"": 9, "time s": 7, "CPU s": 7, "MiB": 6, "time, CPU x s5cmd": 17, "time, CPU x floor": 17}
_ALONE = 4  # columns that say something without another tool


def show(console: Console, report: Report) -> None:
    """Print the figures with their budgets, and what is to be known of them."""
    for result in report.rows:
        title = f"{result.row.title}, {TRANSPORTS[result.transport]}"
        console.print(f"\n[bold]{escape(title)}[/]", highlight=False)
        if result.medians():
            console.print(_figures(result))
        for tool, figures in result.medians().items():
            if said := besides(figures):
                console.print(f"  [dim]{tool}: {said}[/]", highlight=False)
        for verdict in result.verdicts():
            colour, sign = mark(verdict)
            budget = verdict.budget
            said = f"{sign} {NAMES.get(budget.figure, budget.figure)} {verdict.words}"
            console.print(f"  [{colour}]{said}[/] [dim]({budget.limits})[/]", highlight=False)
    console.print()
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
    costs = [
        f"{number(value)} ms beside {int(name.removeprefix(COST)):,}"
        for name, value in figures.items()
        if name.startswith(COST)
    ]
    return ", ".join(
        [*costs, *(text.format(number(figures[name])) for name, text in UNITS.items() if name in figures)]
    )


def mark(verdict: Verdict) -> tuple[str, str]:
    """Return the colour and the sign of a verdict."""
    if verdict.is_met is None:
        return "dim", "?"
    return ("green", "✓") if verdict.is_met else ("red", "✗")


def _figures(result: RowResult) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 1), header_style="dim")
    shown = _COLUMNS if len(result.medians()) > 1 else dict(list(_COLUMNS.items())[:_ALONE])
    for name, width in shown.items():
        table.add_column(name, justify="right" if name else "left", width=width, no_wrap=True)
    for tool, figures in result.medians().items():
        cells = [f" {tool}", *_cells(result, tool, figures)][: len(shown)]
        table.add_row(*cells, style="cyan" if tool == OURS else "")
    return table


def _cells(result: RowResult, tool: str, figures: Figures) -> Iterator[str]:
    found = result.medians()
    yield from (number(figures[name]) if name in figures else "" for name in ("wall", "cpu", "rss"))
    for peer in COMPARED:
        other = found.get(peer)
        yield "" if other is None or tool == peer else _ratio(figures, other)


def _ratio(figures: Figures, other: Figures) -> str:
    name = "visible" if "visible" in other else "wall"
    return ", ".join(number(figures[one] / other[one]) for one in (name, "cpu") if other.get(one))
