"""The few shapes of an SVG that the chart needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from xml.sax.saxutils import escape

INK, GREY, PAPER = "#1f2933", "#65727f", "#ffffff"
LIMIT, AIM, MISSED = INK, "#2b8a3e", "#c92a2a"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_CUT = 5.0  # a bar that is longer than its place ends in a gap and a stroke


def document(width: float, height: float, shapes: Iterable[str]) -> str:
    """Return the file: its own background, so that it can be read on any."""
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{_FONT}" role="img">\n'
        f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>\n{body}\n</svg>\n'
    )


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float = 12,
    weight: int = 400,
    colour: str = INK,
    anchor: Literal["start", "middle", "end"] = "start",
) -> str:
    """Write a line; ``y`` is where it stands on."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def box(
    x: float, y: float, width: float, height: float, colour: str, *, cut: bool = False, round_: float = 2
) -> str:
    """Fill a rectangle; a ``cut`` one goes on beyond its end."""
    whole = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:g}" rx="{round_:g}" '
        f'fill="{colour}"/>'
    )
    if not cut:
        return whole
    end = x + width - 3 * _CUT
    return whole + "".join(
        f'<path d="M{at:.1f} {y + height + 1:.1f} l4 -{height + 2:.1f}" stroke="{PAPER}" stroke-width="2.5"/>'
        for at in (end, end + _CUT)
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1) -> str:
    """Draw a straight line."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )
