"""Tables for people: fitted to a terminal, plain columns anywhere else."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sidecar.core.text import cells, cropped, printable, shortened

GAP = 2
INDENT = 2
NARROWEST = 8  # a column that is still worth reading
PATHS = frozenset({"path", "root", "key", "file"})  # headers of columns that lose their middle, not their end


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSection:
    """A titled table. A row's cells may be hostile file names: they are made printable here."""

    title: str
    headers: tuple[str, ...] = ()
    rows: Sequence[Sequence[str]]
    total: int = 0  # how many there are, where the rows may be the first of more

    @property
    def unnamed(self) -> int:
        """How many more there are than rows."""
        return max(0, self.total - len(self.rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """A line that fits the terminal."""

    text: str
    is_title: bool = False


def show(sections: Sequence[TableSection]) -> None:
    """Print all of them that have rows."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        width = shutil.get_terminal_size().columns
        for line in fitted(sections, width=width, height=None):
            Console().print(Text(line.text, "bold" if line.is_title else ""), no_wrap=True, overflow="crop")
    else:
        print("\n\n".join(plain(section) for section in sections if section.rows))


def plain(section: TableSection) -> str:
    """Return the title and columns aligned by blanks."""
    rows = _cells(section)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    more = [_more(section.unnamed)] if section.unnamed else []
    return "\n".join([section.title, *(f"{' ' * INDENT}{line.rstrip()}" for line in lines), *more])


def fitted(sections: Sequence[TableSection], *, width: int, height: int | None) -> list[TableLine]:
    """Return lines that a terminal shows whole. Where they are too many, the longest tables lose rows first.

    Paths lose their middle; other text is wrapped, where there is a ``height`` into two lines at most.
    """
    shown = [section for section in sections if section.rows]
    blocks = [_block(section, width, lines_max=None if height is None else 2) for section in shown]
    if height is not None:
        _cut(blocks, height)
    return [
        line
        for at, block in enumerate(blocks)
        for line in (*([TableLine(text="")] if at else []), *block.lines())
    ]


@dataclass(slots=True, kw_only=True)
class _Block:
    head: list[TableLine]
    rows: list[list[str]]  # each of one line or more
    cut: int  # how many more there are

    @property
    def height(self) -> int:
        return len(self.head) + sum(map(len, self.rows)) + bool(self.cut)

    def lines(self) -> Iterator[TableLine]:
        yield from self.head
        yield from (TableLine(text=text) for row in self.rows for text in row)
        if self.cut:
            yield TableLine(text=_more(self.cut))


def _more(number: int) -> str:
    return f"{' ' * INDENT}... and {number} more"


def _cut(blocks: list[_Block], height: int) -> None:
    """Take rows from the end of whichever block is the longest, then whole blocks from the end."""
    while blocks and sum(block.height + 1 for block in blocks) - 1 > height:
        longest = max(blocks[1:] or blocks, key=lambda block: (len(block.rows), block.height))
        if len(longest.rows) > 1:
            longest.rows.pop()
            longest.cut += 1
        elif len(blocks) > 1:
            blocks.pop()
        elif not longest.rows:
            return
        else:
            longest.rows.pop()


def _block(section: TableSection, width: int, lines_max: int | None) -> _Block:
    rows = _cells(section)
    widths = _widths(rows, width - INDENT)
    paths = [header in PATHS for header in section.headers] or [False] * len(widths)
    lines = [_row(row, widths, paths, lines_max) for row in rows]
    head = [TableLine(text=cropped(section.title, width), is_title=True)]
    if section.headers:
        head += [TableLine(text=text) for text in lines.pop(0)[:1]]
    return _Block(head=head, rows=lines, cut=section.unnamed)


def _widths(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return each column's width: what it needs, and where that is too much, the widest ones give."""
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    room = max(room - GAP * (len(widths) - 1), NARROWEST)
    while sum(widths) > room and max(widths) > NARROWEST:
        widest = max(range(len(widths)), key=widths.__getitem__)
        others = sorted(widths, reverse=True)[1:2] or [0]
        widths[widest] = max(
            NARROWEST, min(widths[widest] - 1, max(others[0], widths[widest] - sum(widths) + room))
        )
    return widths


def _row(
    row: Sequence[str], widths: Sequence[int], paths: Sequence[bool], lines_max: int | None
) -> list[str]:
    wrapped = [
        [shortened(cell, width)] if is_path else _wrapped(cell, width, lines_max)
        for cell, width, is_path in zip(row, widths, paths, strict=True)
    ]
    lines = []
    for at in range(max(map(len, wrapped))):
        texts = [column[at] if at < len(column) else "" for column in wrapped]
        padded = [text + " " * (width - cells(text)) for text, width in zip(texts, widths, strict=True)]
        lines.append(" " * INDENT + (" " * GAP).join(padded).rstrip())
    return lines


def _wrapped(text: str, width: int, lines_max: int | None) -> list[str]:
    """Return a text in lines; words are wrapped by characters, so wide ones are cut to the columns."""
    if cells(text) <= width:
        return [text]
    lines = textwrap.wrap(text, width, max_lines=lines_max, placeholder=" …") or [""]
    return [cropped(line, width) for line in lines]


def _cells(section: TableSection) -> list[list[str]]:
    headed = [section.headers] if section.headers else []
    return [[printable(cell) for cell in row] for row in (*headed, *section.rows)]
