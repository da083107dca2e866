"""Tables for people: rich ones on a terminal, plain columns anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.core.text import printable

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled table. A row's cells may be hostile file names: they are made printable here."""

    title: str
    headers: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]]


def show(sections: Sequence[Section]) -> None:
    """Print all of them that have rows."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(renderable(sections))
    else:
        print("\n\n".join(plain(section) for section in sections if section.rows))


def plain(section: Section) -> str:
    """Return the title and columns aligned by blanks."""
    rows = [[printable(cell) for cell in row] for row in (*_headed(section), *section.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([section.title, *(f"  {line.rstrip()}" for line in lines)])


def renderable(sections: Sequence[Section]) -> RenderableType:
    """Return them for rich; markup in a file name stays text."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    tables = []
    for section in sections:
        table = Table(
            title=section.title,
            box=box.SIMPLE,
            title_justify="left",
            title_style="bold",
            show_header=bool(section.headers),
        )
        for header in section.headers or [""] * len(section.rows[0] if section.rows else ()):
            table.add_column(header, overflow="fold")
        for row in section.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        if section.rows:
            tables.append(table)
    return Group(*tables)


def _headed(section: Section) -> list[tuple[str, ...]]:
    return [section.headers] if section.headers else []
