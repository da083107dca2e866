"""Draws a report as one SVG: bars of time and CPU, the budgets on them, and a gauge for each other figure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from . import machine
from .budgets import OURS, Figures, Verdict, number
from .drawing import AIM, GREY, INK, LIMIT, MISSED, box, document, line, text
from .results import Report, RowResult
from .tables import NAMES, TRANSPORTS, notes

COLOURS: Mapping[str, str] = {
    OURS: "#e8590c", "s5cmd": "#5c7c99", "rclone": "#8fa9bf", "aws": "#bccbd8", "floor": "#9a8fbf",
}  # fmt: skip
WIDTH, MARGIN = 1120, 32
LANE, BAR = 20, 13
_LABEL_WIDTH, _NAME_WIDTH, _VALUE_WIDTH = 216, 58, 132
_PANEL_WIDTH = (WIDTH - 2 * MARGIN - _LABEL_WIDTH) // 2
_BAR_WIDTH = _PANEL_WIDTH - _NAME_WIDTH - _VALUE_WIDTH
_SLOW = "aws"  # so much slower than the others that its bar is cut
_GAUGE_COLUMNS, _GAUGE_HEIGHT = 3, 74
_GAUGE_WIDTH = (WIDTH - 2 * MARGIN) // _GAUGE_COLUMNS
_PANELS = (("time", ("visible", "wall")), ("CPU, servers not counted", ("cpu",)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A budget on a panel: where the sidecar's bar may end."""

    least: float
    aim: float | None
    is_met: bool


def drawn(report: Report) -> str:
    """Return the SVG."""
    shapes, y = list(_head(report)), 144.0
    for result in (result for result in report.rows if len(result.medians()) > 1):
        shapes += _compared(result, y)
        y += LANE * len(result.medians()) + 26
    gauges = [
        (result, verdict)
        for result, verdict in report.verdicts()
        if verdict.budget.peer is None and verdict.measured is not None
    ]
    if gauges:
        shapes += [text(MARGIN, y + 14, "And by itself", size=15, weight=600)]
        y += 32
    for n, (result, verdict) in enumerate(gauges):
        row, column = divmod(n, _GAUGE_COLUMNS)
        shapes += _gauge(result, verdict, MARGIN + column * _GAUGE_WIDTH, y + row * _GAUGE_HEIGHT)
    y += math.ceil(len(gauges) / _GAUGE_COLUMNS) * _GAUGE_HEIGHT + 8
    for said in notes(report):
        for part in textwrap.wrap(said, 150):
            shapes.append(text(MARGIN, y + 10, part, size=12, colour=GREY))
            y += 17
    return document(WIDTH, math.ceil(y) + MARGIN // 2, shapes)


def _head(report: Report) -> Iterator[str]:
    yield text(MARGIN, 46, "render-sidecar, and what one would use instead", size=23, weight=700)
    about = f"{report.began[:10]} · {machine.sentence(dict(report.machine))}"
    runs = f"median of {report.repeat} runs" if report.repeat > 1 else "one run"
    scale = "" if report.scale == 1 else f", scaled by {report.scale:g}"
    yield text(MARGIN, 68, f"{about} · {runs}{scale}", size=12, colour=GREY)
    x: float = MARGIN
    used = {tool for result in report.rows for tool in result.medians()}
    for tool, colour in COLOURS.items():
        if tool in used:
            yield box(x, 86, 12, 12, colour)
            yield text(x + 18, 97, _TOOLS.get(tool, tool), size=13)
            x += 34 + 7.4 * len(_TOOLS.get(tool, tool))
    yield line(x + 6, 84, x + 6, 100, LIMIT, width=2)
    yield text(x + 13, 97, "budget", size=13)
    yield line(x + 74, 84, x + 74, 100, AIM, width=2)
    yield text(x + 81, 97, "aim", size=13)
    for n, (title, _) in enumerate(_PANELS):
        at = MARGIN + _LABEL_WIDTH + n * _PANEL_WIDTH + _NAME_WIDTH
        yield text(at, 127, f"{title}; x is of s5cmd's", size=12, colour=GREY)


_TOOLS = {"floor": "awscrt alone (the floor)", "aws": "AWS CLI"}


def _compared(result: RowResult, y: float) -> Iterator[str]:
    found = result.medians()
    yield line(MARGIN, y - 8, WIDTH - MARGIN, y - 8, "#e4e7eb")
    for n, part in enumerate(textwrap.wrap(result.row.title, 28)):
        yield text(MARGIN, y + 15 + 18 * n, part, size=14, weight=600)
    below = y + 15 + 18 * len(textwrap.wrap(result.row.title, 28))
    yield text(MARGIN, below, TRANSPORTS[result.transport], size=12, colour=GREY)
    for n, (_, names) in enumerate(_PANELS):
        name = next((one for one in names if all(one in figures for figures in found.values())), None)
        if name is not None:
            x = MARGIN + _LABEL_WIDTH + n * _PANEL_WIDTH
            yield from _panel(result, found, _Panel(name=name, x=x, y=y))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """One figure of all tools; ``x`` and ``y`` are its upper left corner."""

    name: str
    x: float
    y: float


def _panel(result: RowResult, found: Mapping[str, Figures], panel: _Panel) -> Iterator[str]:
    values = {tool: figures[panel.name] for tool, figures in found.items()}
    goal = _goal(result, found, panel.name)
    usual = [value for tool, value in values.items() if tool != _SLOW] or list(values.values())
    full = max([*usual, *([goal.least] if goal else [])]) or 1.0
    for n, (tool, value) in enumerate(values.items()):
        y, x = panel.y + n * LANE, panel.x + _NAME_WIDTH
        long = min(1.0, value / full) * _BAR_WIDTH
        yield text(x - 6, y + 12, tool, size=11, colour=GREY, anchor="end")
        yield box(x, y + 2, max(long, 1.5), BAR, COLOURS.get(tool, GREY), cut=value > full)
        said = f"{number(value)} s"
        if tool == OURS:
            ratio = _ratio(values)
            colour = INK if goal is None else AIM if goal.is_met else MISSED
            beside = max(long, min(goal.least / full, 1.0) * _BAR_WIDTH if goal else 0.0)
            yield text(x + beside + 7, y + 13, said + ratio, size=12, weight=700, colour=colour)
        else:
            yield text(x + long + 7, y + 13, said, size=11, colour=INK)
    if goal is not None and OURS in values:
        at = panel.y + LANE * list(values).index(OURS)
        for limit, colour in ((goal.least, LIMIT), (goal.aim, AIM)):
            if limit is not None:
                x = panel.x + _NAME_WIDTH + limit / full * _BAR_WIDTH
                yield line(x, at - 1, x, at + LANE - 2, colour, width=2)


def _ratio(values: Mapping[str, float]) -> str:
    other = values.get("s5cmd")
    return f" · {number(values[OURS] / other)} x" if other else ""


def _goal(result: RowResult, found: Mapping[str, Figures], name: str) -> _Mark | None:
    """Return the strictest of a figure's budgets, in the figure's own unit."""
    least, aims, met = [], [], True
    for verdict in result.verdicts():
        budget = verdict.budget
        other = found.get(budget.peer or "", {}).get(name)
        if budget.figure == name and other is not None and verdict.is_met is not None:
            least.append(budget.least * other)
            aims += [] if budget.aim is None else [budget.aim * other]
            met = met and verdict.is_met
    return _Mark(least=min(least), aim=min(aims, default=None), is_met=met) if least else None


def _gauge(result: RowResult, verdict: Verdict, x: float, y: float) -> Iterator[str]:
    """Draw a figure on a scale whose parts are the aim, the budget, and what is too much."""
    budget, measured, wide = verdict.budget, verdict.measured or 0.0, _GAUGE_WIDTH - 36.0
    full = max(budget.least * 1.5, measured * 1.08)
    aim = budget.aim or budget.least
    title = f"{NAMES.get(budget.figure, budget.figure)}: {number(measured)}{budget.of}"
    yield text(x, y + 12, title, size=13, weight=700, colour=AIM if verdict.is_met else MISSED)
    about = textwrap.shorten(f"{result.row.title}, {TRANSPORTS[result.transport]}", 56, placeholder=" …")
    yield text(x, y + 27, about, size=11, colour=GREY)
    bounds = (0.0, aim, budget.least, full)
    for begin, end, colour in zip(bounds, bounds[1:], ("#d3f0dc", "#fdf0cf", "#fbdcdc"), strict=False):
        yield box(x + begin / full * wide, y + 36, (end - begin) / full * wide, 10, colour, round_=0)
    yield box(x, y + 39, measured / full * wide, 4, INK, round_=0)
    for limit in sorted({aim, budget.least}):
        at = x + limit / full * wide
        yield text(at, y + 58, f"{limit:g}", size=10, colour=GREY, anchor="middle")
