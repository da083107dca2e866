"""The migrations by name: a start whose journal is new or up to date loads neither them nor sqlite-utils.

That takes a tenth of a start to import.
"""

from __future__ import annotations

import sqlite3

MIGRATION_NAMES = {
    "first", "recall", "pruning", "videos", "removals", "recalled_scenes", "homes", "present", "pieces",
    "algorithms", "gathered_counts", "ops_backing_off", "part_checksums",
    "takedowns", "media_facts", "takedowns_of_older_versions",
    "rechecks_by_the_wall", "states_one_by_one", "files_by_transfer",
}  # fmt: skip

_EXISTS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlite_migrations'"


def applied_migrations(connection: sqlite3.Connection) -> set[str]:
    """Return the names of those that the database has, unknown ones included."""
    if connection.execute(_EXISTS).fetchone() is None:
        return set()
    return {row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations")}


def is_empty(connection: sqlite3.Connection) -> bool:
    """Tell whether a database has no table: it was made just now, or its first transaction failed."""
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
