"""A new journal is made at once, and is what all migrations make after one another."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from sidecar.core.errors import FatalError
from sidecar.journal.db import new
from sidecar.journal.db.migrations import migrations
from sidecar.journal.db.open import open_database
from tests.support.journal_schema import script

from .test_migrations import OPENED

_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00")


def tables(database: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Return all that makes the tables, in the order in which it was made."""
    found = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid")
    return [tuple(row) for row in found if row[1] != "sqlite_sequence"]


def rows(database: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return what is in them, all times of migrations alike."""
    names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {
        name: [
            tuple("then" if _STAMP.fullmatch(str(value)) else value for value in row)
            for row in database.execute(f"SELECT * FROM {name}")  # noqa: S608 - names of our own
        ]
        for name in names
    }


def test_the_schema_is_what_the_migrations_make() -> None:
    """Word for word. After a new migration tests/support/journal_schema.py writes it anew."""
    assert new.SCHEMA.read_text() == script()


def test_a_new_journal_is_as_if_each_migration_had_been_applied(tmp_path: Path) -> None:
    """Its definitions, their order, what is in the tables; and no migration is left for it."""
    made, _ = open_database(tmp_path / "new.db")
    with closing(made), closing(sqlite3.connect(tmp_path / "old.db")) as migrated:
        migrations.apply(Database(migrated))
        assert len(tables(made)) > 50
        assert tables(made) == tables(migrated)
        found = rows(made)
        meta = found.pop("meta")
        assert found == {name: held for name, held in rows(migrated).items() if name != "meta"}
        assert {row[0] for row in meta} == {"in use"}
        assert migrations.pending(Database(made)) == []
        assert made.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_new_journal_loads_nothing_for_it(tmp_path: Path) -> None:
    """sqlite-utils takes a tenth of a start to import."""
    words = [sys.executable, "-c", OPENED, str(tmp_path / "journal.db")]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_tables_that_were_not_made_whole_are_made_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed half-way, as on a full disk, left nothing."""
    path, broken = tmp_path / "journal.db", tmp_path / "schema.sql"
    broken.write_text(f"{new.SCHEMA.read_text()}DROP TABLE nowhere;\n")
    with monkeypatch.context() as patch:
        patch.setattr(new, "SCHEMA", broken)
        with pytest.raises(FatalError, match="nowhere"):
            open_database(path)
    with closing(sqlite3.connect(path)) as left:
        assert tables(left) == []
    made, _ = open_database(path)
    with closing(made):
        assert len(tables(made)) > 50
