"""Tables for people: whole on the terminal that they have."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cli.table import TableSection, fitted, plain
from sidecar.core.text import cells, cropped, printable, shortened

WORDS = st.text(max_size=120)


@given(text=st.text(max_size=60).map(printable), width=st.integers(1, 40))
def test_a_text_is_shortened_to_its_columns(text: str, width: int) -> None:
    """Wide and combining characters too; what fits is untouched, and most of the end stays."""
    short = shortened(text, width)
    assert cells(short) <= width
    assert (short == text) == (cells(text) <= width)
    assert text.startswith(cropped(text, width))


def test_a_path_loses_its_middle() -> None:
    """The file's name says most."""
    path = "/renders/algebra/complex-numbers/01-introduction/video/chunk-001.mp4"
    assert shortened(path, 30) == "/renders/…/video/chunk-001.mp4"


ROW = st.tuples(WORDS, WORDS, WORDS)


@given(
    tables=st.lists(st.lists(ROW, max_size=40), min_size=1, max_size=6),
    size=st.sampled_from([(80, 24), (132, 50), (40, 10)]),
)
def test_every_table_fits_the_terminal(
    tables: list[list[tuple[str, str, str]]], size: tuple[int, int]
) -> None:
    """However long and many the names, hostile ones too: no line is too wide, and there are not too many."""
    width, height = size
    sections = [
        TableSection(title=f"Table {n}", headers=("path", "what", "why"), rows=rows)
        for n, rows in enumerate(tables)
    ]
    lines = [line.text for line in fitted(sections, width=width, height=height)]
    assert max(map(cells, lines), default=0) <= width
    assert len(lines) <= height


def test_what_does_not_fit_is_counted_and_the_first_rows_stay() -> None:
    """The longest table gives way, never a short one."""
    overview = TableSection(title="Sidecar", rows=[("state", "ok"), ("backlog", "500 files")])
    uploads = TableSection(
        title="Uploading", headers=("path", "sent"), rows=[(f"/r/{n}", "1%") for n in range(500)]
    )
    roots = TableSection(title="Watched", headers=("root", "events"), rows=[("/r", "inotify")])
    text = "\n".join(line.text for line in fitted([overview, uploads, roots], width=80, height=24))
    assert all(words in text for words in ("500 files", "/r/0 ", "... and 487 more", "inotify"))


@pytest.mark.parametrize(("height", "more"), [(None, 10), (24, 12), (7, 29)])
def test_what_was_never_told_is_counted_too(height: int | None, more: int) -> None:
    """Of 30 files an answer names 20; however few of them fit, all others are counted."""
    rows = [(f"/r/{n}.mp4", "torn") for n in range(20)]
    section = TableSection(title="Not complete yet", headers=("path", "why"), rows=rows, total=30)
    lines = fitted([TableSection(title="Sidecar", rows=[("state", "ok")]), section], width=80, height=height)
    assert lines[-1].text == f"  ... and {more} more"
    assert sum("torn" in line.text for line in lines) == 30 - more
    assert plain(section).splitlines()[-1] == "  ... and 10 more"
    assert "more" not in plain(replace(section, total=0))


@pytest.mark.parametrize("height", [None, 24])
def test_a_long_sentence_is_wrapped_and_not_lost(height: int | None) -> None:
    """Without a limit of lines all of it is there."""
    words = " ".join(f"word{n}" for n in range(60))
    lines = [
        line.text
        for line in fitted([TableSection(title="T", rows=[("why", words)])], width=80, height=height)
    ]
    told = " ".join(" ".join(lines).split())
    assert ("word59" in told) == (height is None)
    assert told.endswith("word59" if height is None else "…")
