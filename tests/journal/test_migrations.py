"""Journals are brought up to date, whoever brought them as far as they are."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.journal.db.migration_names import MIGRATION_NAMES, applied_migrations
from sidecar.journal.db.migrations import MIGRATIONS, migrate
from sidecar.journal.db.open import open_database

OPENED = """
import sys
from pathlib import Path
from sidecar.journal.db.open import open_database
database, _ = open_database(Path(sys.argv[1]))
database.close()
print("sidecar.journal.db.migrations" in sys.modules)
"""
RECORDS_OF_SQLITE_UTILS = """
CREATE TABLE "_sqlite_migrations" (
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT,
   PRIMARY KEY ("migration_set", "name")
);
"""  # version 3's


def database() -> sqlite3.Connection:
    """Return an empty one, as the journal opens its own."""
    return sqlite3.connect(":memory:", isolation_level=None)


def tables(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Return the definitions of all that is ours."""
    made = "SELECT type, name, sql FROM sqlite_master WHERE tbl_name NOT LIKE '%sqlite%' ORDER BY rowid"
    return connection.execute(made).fetchall()


def test_the_names_are_those_of_the_migrations() -> None:
    """Or a newer journal would be refused, or a migration never be applied."""
    assert set(MIGRATIONS) == MIGRATION_NAMES


def test_a_journal_that_sqlite_utils_began_ends_with_equal_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records count, in whichever table its versions kept them."""
    fresh, older = database(), database()
    migrate(fresh)
    older.execute(RECORDS_OF_SQLITE_UTILS)
    begun = dict(list(MIGRATIONS.items())[:5])
    with monkeypatch.context() as patch:
        patch.setattr("sidecar.journal.db.migrations.MIGRATIONS", begun)
        migrate(older)
    assert applied_migrations(older) == set(begun)
    migrate(older)
    assert applied_migrations(older) == MIGRATION_NAMES
    assert tables(older) == tables(fresh)


def test_a_migration_that_fails_half_way_leaves_nothing_and_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that fills up in the middle of a start spoils no journal."""
    connection = database()
    broken = {**MIGRATIONS, "recall": "CREATE TABLE half (id INTEGER);\nCREATE TABLE half (id INTEGER);\n"}
    with monkeypatch.context() as patch:
        patch.setattr("sidecar.journal.db.migrations.MIGRATIONS", broken)
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection)
    assert applied_migrations(connection) == {"first"}
    assert "half" not in {name for _, name, _ in tables(connection)}
    migrate(connection)
    assert applied_migrations(connection) == MIGRATION_NAMES


def test_a_journal_that_is_up_to_date_loads_nothing_for_it(tmp_path: Path) -> None:
    """The scripts are of use to nobody then."""
    path = tmp_path / "journal.db"
    opened, _ = open_database(path)
    opened.close()
    ran = subprocess.run([sys.executable, "-c", OPENED, path], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
