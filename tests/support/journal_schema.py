"""What the journal's migrations make of an empty file, as the text of ``sidecar/journal/db/schema.sql``.

After a new migration: ``python -m tests.support.journal_schema > sidecar/journal/db/schema.sql``
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing

from sqlite_utils import Database

from sidecar.journal.db.migrations import migrations

_HEAD = """\
-- The tables of a new journal, written by tests/support/journal_schema.py: migrations.py explains them.
"""
_APPLIED = """\
INSERT INTO _sqlite_migrations (migration_set, name) VALUES
  {rows};
UPDATE _sqlite_migrations SET applied_at = strftime('%Y-%m-%d %H:%M:%f000+00:00', 'now');
"""


def script() -> str:
    """Return it."""
    with closing(sqlite3.connect(":memory:")) as database:
        migrations.apply(Database(database))
        made = database.execute(
            "SELECT sql FROM sqlite_master WHERE sql NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        )
        statements = [f"{sql};\n" for (sql,) in made]
        names = database.execute("SELECT migration_set, name FROM _sqlite_migrations ORDER BY id")
        applied = _APPLIED.format(rows=",\n  ".join(f"('{group}', '{name}')" for group, name in names))
    return "".join([_HEAD, *statements, applied])


if __name__ == "__main__":
    sys.stdout.write(script())
