"""Makes the tables of a new journal at once, as all migrations after one another would.

``schema.sql`` is what they make; tests/journal/test_schema.py holds the two equal. It is one transaction
instead of one for each, and sqlite-utils, a tenth of a start, is not imported.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

SCHEMA = Path(__file__).with_name("schema.sql")


def create(connection: sqlite3.Connection) -> None:
    """Make all tables, or none."""
    connection.executescript(f"BEGIN IMMEDIATE;\n{SCHEMA.read_text()}COMMIT;")
