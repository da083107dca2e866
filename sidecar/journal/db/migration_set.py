"""Applies migrations in their order and remembers which were, in the table that sqlite-utils has for it.

The library itself takes a tenth of the daemon's start to import, for this alone.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Mapping

from .transactions import atomic

Migration = Callable[[sqlite3.Connection], None]
_TABLE = """
CREATE TABLE IF NOT EXISTS _sqlite_migrations (
  id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT
)
"""
_INDEX = """
CREATE UNIQUE INDEX IF NOT EXISTS idx__sqlite_migrations_migration_set_name
  ON _sqlite_migrations (migration_set, name)
"""
_EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlite_migrations'"


class MigrationSet:
    """The migrations of one database, by their functions' names."""

    def __init__(self, name: str) -> None:
        """``name`` tells them from others in the same file."""
        self.name = name
        self._steps: dict[str, Migration] = {}

    def __call__(self) -> Callable[[Migration], Migration]:
        """Return what appends a function. It raises ValueError for a name that is taken."""
        return self._append

    def _append(self, step: Migration) -> Migration:
        if step.__name__ in self._steps:
            raise ValueError(f"there is a migration {step.__name__} already")
        self._steps[step.__name__] = step
        return step

    @property
    def steps(self) -> tuple[Migration, ...]:
        """All of them, in their order."""
        return tuple(self._steps.values())

    @property
    def names(self) -> frozenset[str]:
        """Those of all migrations that this program knows."""
        return frozenset(self._steps)

    def applied(self, connection: sqlite3.Connection) -> frozenset[str]:
        """Return the names of those that the database has, unknown ones included."""
        if connection.execute(_EXISTS).fetchone() is None:
            return frozenset()
        rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", [self.name])
        return frozenset(row[0] for row in rows)

    def apply(self, connection: sqlite3.Connection) -> None:
        """Apply those that are pending, in one transaction: nothing is left half-way."""
        applied = self.applied(connection)
        pending: Mapping[str, Migration] = {n: step for n, step in self._steps.items() if n not in applied}
        if not pending:
            return
        with atomic(connection):
            connection.execute(_TABLE)
            connection.execute(_INDEX)
            for name, step in pending.items():
                step(connection)
                connection.execute(
                    "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)",
                    [self.name, name, str(dt.datetime.now(dt.UTC))],
                )
