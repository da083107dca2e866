"""ARCHITECTURE.md is short, and what it names is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from sqlite_utils import Database

from sidecar.journal.db.migrations import migrations

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "sidecar" / "ARCHITECTURE.md").read_text()
WORDS_MAX = 2000


def _section(heading: str) -> str:
    _, _, below = TEXT.partition(f"\n## {heading}\n")
    assert below, f"ARCHITECTURE.md has no heading {heading!r}"
    return below.partition("\n## ")[0]


def test_it_can_be_read_in_ten_minutes() -> None:
    """Longer stories belong into the module that carries them out."""
    assert len(TEXT.split()) <= WORDS_MAX


def test_every_module_that_it_names_is_there() -> None:
    """Whoever moves a module brings the page along."""
    named = set(re.findall(r"`((?:[\w-]+/)*[\w.-]+\.(?:py|md|yaml))`", TEXT))
    assert len(named) > 50
    missing = [name for name in named if not any((top / name).is_file() for top in (ROOT / "sidecar", ROOT))]
    assert missing == []


def test_its_layers_are_those_that_are_held() -> None:
    """The table has each layer of the contract on imports, from the top."""
    table = _section("Layers").partition("\n\n| story")[0]
    shown = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.splitlines() if row.startswith("| `")]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [layer.split(" | ") for layer in contract["layers"] if layer != "__main__"]
    lowest = layers.pop()  # two rows: decisions, and what runs before everything
    assert shown == [*layers, lowest[:1], lowest[1:]]


def test_its_figure_has_every_table_of_the_journal() -> None:
    """Whoever adds a table draws it."""
    figure = _section("The journal's tables").partition("erDiagram\n")[2].partition("```")[0]
    drawn = {
        word for line in figure.splitlines() for word in re.findall(r"[a-z]{2,}", line.partition(":")[0])
    }
    db = Database(memory=True)
    migrations.apply(db)
    assert drawn == {name for name in db.table_names() if not name.startswith(("sqlite_", "_sqlite_"))}
