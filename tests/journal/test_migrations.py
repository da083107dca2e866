"""Journals are brought up to date whole or not at all, also those that sqlite-utils brought there once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sidecar.journal.db.migration_set import MigrationSet
from sidecar.journal.db.migrations import migrations


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    """Have an empty database."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def schema(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Return what was made, but for the table of migrations, of which the spelling differs."""
    found = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY rowid").fetchall()
    return [row for row in found if "_sqlite_migrations" not in row[1]]


def told(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    """Return what is remembered."""
    return connection.execute("SELECT id, migration_set, name FROM _sqlite_migrations").fetchall()


def by_library() -> Migrations:
    """Return the same migrations for sqlite-utils, as the journal had them before."""
    library = Migrations(migrations.name)
    for step in migrations.steps:
        library()(step)  # type: ignore[type-var]  # its databases are executed on alike
    return library


def test_a_journal_that_the_library_made_is_up_to_date(db: sqlite3.Connection) -> None:
    """The tables are equal, so is what is remembered, and nothing is applied again."""
    older = Database(memory=True)
    by_library().apply(older)
    migrations.apply(db)
    assert schema(older.conn) == schema(db)
    assert told(older.conn) == told(db)
    assert migrations.applied(older.conn) == migrations.names
    changes = older.conn.total_changes
    migrations.apply(older.conn)
    assert older.conn.total_changes == changes


def test_the_library_finds_nothing_to_apply_in_ours(db: sqlite3.Connection) -> None:
    """An older program opens the journal of a newer one where both know the same tables."""
    migrations.apply(db)
    assert by_library().pending(Database(db)) == []


def test_what_fails_half_way_leaves_nothing(db: sqlite3.Connection) -> None:
    """All that is pending is one transaction, and is applied once the cause is gone."""
    steps, full = MigrationSet("test"), [True]

    @steps()
    def begun(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE begun (x)")

    @steps()
    def ended(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE ended (x)")
        if full:
            raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError):
        steps.apply(db)
    assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    full.clear()
    steps.apply(db)
    assert steps.applied(db) == steps.names == {"begun", "ended"}


def test_a_name_is_taken_once() -> None:
    """Or the second of them would never be applied."""
    steps = MigrationSet("test")

    def first(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE first (x)")

    steps()(first)
    with pytest.raises(ValueError, match="first"):
        steps()(first)
